"""Number formats: grids, codes, and the golden vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qsnn.quantization import Format, from_codes, in_range, potential, quantize, symmetric, to_codes, unsigned

FORMATS = {"symmetric": symmetric, "unsigned": unsigned, "potential": potential}
BITS = range(1, 17)
floats = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=50).map(lambda x: torch.tensor(x))
formats = st.builds(lambda kind, bits: FORMATS[kind](bits), st.sampled_from(sorted(FORMATS)), st.sampled_from(BITS))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("bits", BITS)
def test_codes_fit_in_their_bits_and_come_back_without_loss(kind: str, bits: int) -> None:
    fmt = FORMATS[kind](bits)
    codes = torch.arange(fmt.low, fmt.high + 1, dtype=torch.int32)
    codes = codes[codes != 0] if not fmt.has_zero else codes
    assert codes.numel() == fmt.num_codes <= 2**bits
    values = from_codes(codes, fmt)
    assert torch.equal(to_codes(values, fmt), codes)
    assert torch.equal(quantize(values, fmt), values)


@given(floats, formats)
def test_quantize_gives_the_nearest_value_of_the_grid(x: torch.Tensor, fmt: Format) -> None:
    codes = [c for c in range(fmt.low, fmt.high + 1) if fmt.has_zero or c] if fmt.num_codes <= 1024 else None
    y = quantize(x, fmt)
    assert torch.equal(from_codes(to_codes(y, fmt), fmt), y)
    clamped = x.double().clamp(fmt.smallest, fmt.largest)
    if codes is not None:
        grid = torch.tensor(codes, dtype=torch.float64) * fmt.full_scale / fmt.levels
        best = (clamped[:, None] - grid).abs().min(dim=1).values
        assert ((y.double() - clamped).abs() <= best + 1e-6 * fmt.full_scale).all()


@given(floats, formats)
def test_quantize_is_monotonic_and_idempotent(x: torch.Tensor, fmt: Format) -> None:
    y = quantize(x.sort().values, fmt)
    assert (y.diff() >= 0).all()
    assert torch.equal(quantize(y, fmt), y)


@given(floats, formats)
def test_in_range_marks_what_the_clamp_leaves_alone(x: torch.Tensor, fmt: Format) -> None:
    assert torch.equal(in_range(x, fmt), x.clamp(fmt.smallest, fmt.largest) == x)


def test_quantize_rounds_half_to_even() -> None:
    step = 2.0**-3
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5]) * step
    assert torch.equal(quantize(x, symmetric(4)) / step, torch.tensor([0.0, 2.0, 2.0, 0.0, -2.0]))


def test_quantize_maps_zero_to_plus_one_for_one_bit() -> None:
    assert quantize(torch.tensor([-0.1, 0.0, 0.1]), symmetric(1)).tolist() == [-1, 1, 1]


def test_quantize_is_the_identity_in_full_precision() -> None:
    x = torch.randn(7)
    assert quantize(x, symmetric(None)) is x
    assert in_range(x, None).all()


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_quantize_keeps_nan_visible(bits: int) -> None:
    assert quantize(torch.tensor([float("nan")]), symmetric(bits)).isnan().all()


def test_to_codes_refuses_values_between_the_grid_points() -> None:
    with pytest.raises(ValueError, match="1 of 2 values are not on the grid"):
        to_codes(torch.tensor([0.5, 0.3]), symmetric(2))


def golden_cases(prefix: str, golden: Path) -> dict[int, torch.Tensor]:
    with np.load(golden / "quantizers.npz", allow_pickle=False) as file:
        return {int(key[len(prefix) :]): torch.from_numpy(file[key]) for key in file.files if key.startswith(prefix)}


def golden_values(name: str, golden: Path) -> torch.Tensor:
    with np.load(golden / "quantizers.npz", allow_pickle=False) as file:
        return torch.from_numpy(file[name])


def test_symmetric_equals_the_golden_vectors(golden: Path) -> None:
    x = golden_values("x", golden)
    for bits, expected in golden_cases("symmetric_b", golden).items():
        defined = (x != 0) | (bits > 1)  # the original's sign(0) is 0, which one bit cannot hold
        assert torch.equal(quantize(x, symmetric(bits))[defined], expected[defined]), bits
    for bits, expected in golden_cases("inrange_b", golden).items():
        assert torch.equal(in_range(x, symmetric(bits)), expected), bits


def test_unsigned_equals_the_golden_vectors_wherever_the_value_has_a_code(golden: Path) -> None:
    u = golden_values("u", golden)
    for bits, expected in golden_cases("unsigned_b", golden).items():
        fits = expected < 1  # the original lets values reach 2^b, one code too many; ours end at 2^b - 1
        ours = quantize(u, unsigned(bits))
        assert torch.equal(ours[fits], expected[fits]), bits
        assert (ours[~fits] == 1 - 2.0**-bits).all(), bits


def test_potential_equals_the_golden_vectors(golden: Path) -> None:
    v = golden_values("v", golden)
    for bits, expected in golden_cases("potential_b", golden).items():
        assert torch.equal(quantize(v, potential(bits)), expected), bits
