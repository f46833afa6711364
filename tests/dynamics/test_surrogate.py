"""Threshold and surrogate on codes: the constants give today's float comparisons, the table is the rounded equation."""

from fractions import Fraction

import pytest
import torch

from qsnn.dynamics import LIFParameters, LIFState
from qsnn.dynamics.cuba_lif import lif_step
from qsnn.dynamics.surrogate import membrane_codes, of_codes, surrogate_of, surrogate_table, threshold_codes
from qsnn.quantization import from_codes, in_range, quantize, symmetric


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize(
    ("theta", "full_scale"), [(0.9, 1.0), (0.25, 1.0), (1e-9, 1.0), (1.7, 1.0), (0.9, 4.0), (1.7, 2.0)]
)
def test_threshold_codes_compare_as_the_float_step_does_for_every_code(
    bits: int, theta: float, full_scale: float
) -> None:
    codes = membrane_codes(bits) if bits > 1 else torch.tensor([-1, 1])
    fmt = symmetric(bits, full_scale)
    membrane, found = from_codes(codes, fmt), threshold_codes(theta, bits, full_scale)
    spikes, _ = lif_step(torch.zeros(1, len(codes)), LIFState(torch.zeros(1, len(codes)), membrane[None]),
                         LIFParameters(0.75, 0.875, theta, 1.0, bits, bits, 8, state_range=full_scale))  # fmt: skip
    assert torch.equal(spikes[0] > 0, codes >= found.spike)
    assert torch.equal(in_range(membrane - theta, fmt), codes >= found.mask)


def test_threshold_codes_of_the_pattern_net_are_those_of_its_float_step() -> None:
    assert threshold_codes(0.9, 8) == (116, -11)


@pytest.mark.parametrize("slope", [1.0, 5.0, 100.0, 0.3])
@pytest.mark.parametrize(
    ("bits", "surrogate_bits", "full_scale"), [(1, 13, 1.0), (2, 8, 1.0), (8, 13, 1.0), (9, 20, 1.0), (8, 13, 4.0)]
)
def test_surrogate_table_is_the_equation_rounded_to_its_fraction_bits(
    slope: float, bits: int, surrogate_bits: int, full_scale: float
) -> None:
    fmt = symmetric(bits, full_scale)
    table, high = surrogate_table(0.9, slope, bits, surrogate_bits, full_scale), fmt.high
    assert len(table) == 2 * high + 1
    assert 0 <= table.min() <= table.max() <= 2**surrogate_bits
    for code in (-high, high) if bits == 1 else range(-high, high + 1):
        membrane = from_codes(torch.tensor(code), fmt)
        distance = Fraction(quantize(membrane - 0.9, fmt).item())
        assert table[code + high] == round(2**surrogate_bits / (Fraction(slope) * abs(distance) + 1) ** 2)


def test_the_table_needs_membranes_on_a_grid() -> None:
    neuron = LIFParameters(0.75, 0.875, 0.9, 5.0, 8, None, 8, True, 13)
    with pytest.raises(ValueError, match="membrane_bits is None"):
        surrogate_of(torch.zeros(3), neuron)


def test_of_codes_takes_the_end_of_the_range_for_a_membrane_beyond_it() -> None:
    table = surrogate_table(0.9, 1.0, 4, 13)
    beyond = of_codes(table, torch.tensor([-3.0, 3.0]), 4)
    assert beyond.tolist() == [table[0].item(), table[-1].item()]
