"""Convolutions of codes in 16-bit products equal their plain-torch definitions to the last bit, whatever the widths."""

from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.dynamics.code_products import convolve_codes, correlate_codes
from qsnn.dynamics.local_drive import WeightGrid
from qsnn.dynamics.local_readout import MembraneError
from qsnn.dynamics.refractory_lif import refractory_parameters
from qsnn.dynamics.traces import quantize_trace, trace_parameters
from qsnn.kernels.dispatch import select_local_backend
from qsnn.kernels.local_backend import LOCAL_EAGER
from qsnn.kernels.numba.local import code_convolutions, convolve, correlate, winner_pairs
from qsnn.kernels.numba.local.dot_tiles import AVAILABLE
from qsnn.kernels.numba.runtime import openmp
from qsnn.quantization import quantize, symmetric

LOCAL_NUMBA = select_local_backend("numba")
BITS, SEEDS = st.integers(1, 16), st.integers(0, 2**31)
PAIRS = [(1, 2), (2, 3), (7, 4), (40, 2)]  # of input maps and kernels
FEWER_BITS = st.integers(1, 14)  # of which 16 bits surely hold the differences
SOME = settings(max_examples=25, deadline=None)


class Geometry(NamedTuple):
    """Of a convolution; ``columns``: width of its results."""

    batch: int
    channels: int
    outputs: int
    height: int
    kernel: int
    padding: int
    columns: int

    @property
    def input(self) -> tuple[int, int, int, int]:
        return self.batch, self.channels, self.height, self.columns + self.kernel - 1 - 2 * self.padding

    @property
    def weight(self) -> tuple[int, int, int, int]:
        return self.outputs, self.channels, self.kernel, self.kernel

    @property
    def output(self) -> tuple[int, int, int, int]:
        return self.batch, self.outputs, self.height + 2 * self.padding - self.kernel + 1, self.columns


def geometries(columns: list[int], sums: list[tuple[int, int]]) -> st.SearchStrategy[Geometry]:
    """Of ``columns`` and ``sums`` (input maps, kernel). A kernel is compiled for each number of words that tiles take of
    these: tests choose few."""
    return st.builds(
        lambda batch, outputs, height, padding, columns, sums: Geometry(
            batch, sums[0], outputs, height, sums[1], padding, columns
        ),
        st.integers(1, 5),
        st.sampled_from([1, 31, 32, 33, 70]),
        st.integers(4, 7),
        st.integers(0, 2),
        st.sampled_from(columns),
        st.sampled_from(sums),
    ).filter(lambda geometry: min(*geometry.output, *geometry.input) > 0)


@pytest.fixture(autouse=True)
def _small_work_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_convolutions, "SMALLEST", 1)


def codes(shape: tuple[int, ...], seed: int, low: int, high: int) -> Tensor:
    """Integers from ``low`` to ``high``, int16, channels last."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(low, high + 1, shape, generator=generator, dtype=torch.int16)
    return values.contiguous(memory_format=torch.channels_last)


def same(found: Tensor | None, expected: Tensor) -> bool:
    return found is not None and found.dtype == expected.dtype and torch.equal(found, expected)


@SOME
@given(geometries([13, 25], PAIRS), SEEDS, BITS, BITS)
def test_convolve_codes_equals_the_definition(geometry: Geometry, seed: int, bits: int, weight_bits: int) -> None:
    largest = 2 ** (weight_bits - 1)
    x = codes(geometry.input, seed, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    weight = codes(geometry.weight, seed + 1, 1 - largest, largest - 1)
    expected = convolve_codes(x, weight, geometry.padding)
    assert same(LOCAL_NUMBA.convolve_codes(x, weight, geometry.padding), expected)


@SOME
@given(geometries([1, 2, 5], [(5, 2), (10, 3), (5, 4), (15, 2)]), SEEDS, BITS, BITS)
def test_correlate_codes_equals_the_definition(geometry: Geometry, seed: int, bits: int, error_bits: int) -> None:
    largest = 2 ** (error_bits - 1)
    x, errors = (
        codes(geometry.input, seed, 0, 2 ** (bits - 1) - 1),
        codes(geometry.output, seed + 1, 1 - largest, largest - 1),
    )
    expected = correlate_codes(errors, x, geometry.kernel, geometry.padding)
    assert same(LOCAL_NUMBA.correlate_codes(errors, x, geometry.kernel, geometry.padding), expected)


@SOME
@given(
    geometries([10, 19], [(1, 1), (2, 3), (7, 4), (40, 2)]),
    SEEDS,
    BITS,
    BITS,
    st.sampled_from([4e-5, 1.0, 0.3]),
    st.sampled_from([0.02, 1.5]),
)
def test_drive_equals_eager(
    geometry: Geometry, seed: int, p_bits: int, w_bits: int, factor: float, activity: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (1, 1, 1)
    parameters = trace_parameters(torch.full(shape, 0.02), torch.full(shape, 0.01), 0.001, 0.9, p_bits, 10)
    full_scale, fmt = parameters.membrane_full_scale, symmetric(w_bits)
    trace = quantize_trace(activity * full_scale * torch.rand(geometry.input, generator=generator), full_scale, p_bits)
    weight, bias = (
        quantize(2 * torch.rand(part, generator=generator) - 1, fmt) * factor
        for part in (geometry.weight, (geometry.outputs,))
    )
    arguments = (trace, weight, bias, geometry.padding, WeightGrid(w_bits, factor), parameters)
    assert same(LOCAL_NUMBA.drive(*arguments), LOCAL_EAGER.drive(*arguments))


@SOME
@given(
    geometries([2, 3, 7], [(27, 3), (6, 5)]),
    SEEDS,
    FEWER_BITS,
    FEWER_BITS,
    st.integers(2, 3),
    st.sampled_from([0.0, -0.25, 1.0]),
)
def test_winner_pairs_equal_eager(
    geometry: Geometry, seed: int, p_bits: int, e_bits: int, pooling: int, elsewhere: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (1, 1, 1)
    parameters = trace_parameters(torch.full(shape, 0.02), torch.full(shape, 0.01), 0.001, 0.9, p_bits, 10)
    full_scale, fmt = parameters.membrane_full_scale, symmetric(e_bits)
    trace = quantize_trace(full_scale * torch.rand(geometry.input, generator=generator), full_scale, p_bits)
    pooling = min(pooling, *geometry.output[2:])
    pool = refractory_parameters(1 / 350, 0.001, 2, 6)._replace(pooling=pooling)
    drive = torch.randn(geometry.output, generator=generator)
    step = LOCAL_EAGER.membrane_step(drive, torch.zeros(drive.shape), pool)
    at_winners = quantize(torch.randn(step.pooled.shape, generator=generator), fmt)
    rest = quantize(torch.tensor(elsewhere), fmt)
    error = MembraneError(at_winners, step.winner, rest, geometry.output[2:], e_bits)
    weight = torch.empty(geometry.weight)
    expected = LOCAL_EAGER.weight_gradient(error, trace, weight, geometry.padding, parameters)
    found = LOCAL_NUMBA.weight_gradient(error, trace, weight, geometry.padding, parameters)
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.skipif(not AVAILABLE, reason="this CPU has neither AVX2 nor AVX-512")
def test_sums_beyond_32_bits_are_summed_in_parts() -> None:
    x = torch.full((4, 70, 5, 16), 4095, dtype=torch.int16)
    weight = torch.full((33, 70, 4, 4), 2047, dtype=torch.int16)
    packed = convolve.pack_weights(weight.float(), 1.0, 1.0)
    assert 0 < convolve.planes_at_a_time(packed, 4095) < 35
    assert same(code_convolutions.convolve_codes(x, weight, 0), convolve_codes(x, weight, 0))
    errors = torch.full((4, 33, 2, 13), 32767, dtype=torch.int16)
    few = x[:, :5].clamp(max=1000)
    products = correlate.sum_products(errors.float(), 1.0, 32767, few.float(), 1000, (1.0, 1.0), 4, 0)
    assert products is not None
    assert products.totals.dtype == "int64"
    assert same(code_convolutions.correlate_codes(errors, few, 4, 0), correlate_codes(errors, few, 4, 0))


@pytest.mark.parametrize("size", [32768, 10**6])
def test_codes_of_more_than_16_bits_are_left_to_the_definition(size: int) -> None:
    x = torch.full((1, 2, 4, 4), size, dtype=torch.int64)
    weight = torch.ones(1, 2, 2, 2, dtype=torch.int64)
    assert code_convolutions.convolve_codes(x, weight, 0) is None
    assert same(LOCAL_NUMBA.convolve_codes(x, weight, 0), convolve_codes(x, weight, 0))


def test_drive_without_vector_products_is_exact_in_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_convolutions, "AVAILABLE", False)
    shape = (1, 1, 1)
    parameters = trace_parameters(torch.full(shape, 0.02), torch.full(shape, 0.01), 0.001, 0.9, 12, 10)
    full_scale = parameters.membrane_full_scale
    weight, bias = (
        quantize(torch.randn(part), symmetric(8)) * 4e-5 for part in (torch.Size((5, 3, 3, 3)), torch.Size((5,)))
    )
    for activity, in_floats in ((0.1, True), (1.0, False)):
        trace = quantize_trace(activity * full_scale * torch.rand(2, 3, 8, 8), full_scale, 12)
        wide = weight if in_floats else weight.repeat(1, 60, 1, 1)
        maps = trace if in_floats else trace.repeat(1, 60, 1, 1)
        arguments = (maps, wide, bias, 1, WeightGrid(8, 4e-5), parameters)
        assert (code_convolutions.drive(*arguments) is not None) == in_floats
        assert same(LOCAL_NUMBA.drive(*arguments), LOCAL_EAGER.drive(*arguments))


@pytest.mark.parametrize(("batch", "side"), [(26, 1), (1, 5), (2, 13)])
def test_kernels_of_one_pixel_equal_the_definition(batch: int, side: int) -> None:
    x, weight, errors = (
        codes(shape, seed, -100, 100)
        for seed, shape in enumerate(((batch, 19, side, side), (33, 19, 1, 1), (batch, 33, side, side)))
    )
    assert same(LOCAL_NUMBA.convolve_codes(x, weight, 0), convolve_codes(x, weight, 0))
    assert same(LOCAL_NUMBA.correlate_codes(errors, x, 1, 0), correlate_codes(errors, x, 1, 0))


@pytest.mark.parametrize(("activity", "side", "e_bits"), [(0.01, 6, 6), (1.0, 20, 8), (1.0, 6, 16)])
def test_gradient_without_vector_products_equals_eager(
    activity: float, side: int, e_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_convolutions, "AVAILABLE", False)
    shape = (1, 1, 1)
    parameters = trace_parameters(torch.full(shape, 0.02), torch.full(shape, 0.01), 0.001, 0.9, 12, 10)
    full_scale = parameters.membrane_full_scale
    trace = quantize_trace(activity * full_scale * torch.rand(5, 3, side, side), full_scale, 12)
    at_winners = quantize(torch.randn(5, 4, side, side), symmetric(e_bits))
    error = MembraneError(at_winners, torch.zeros(1), torch.zeros(()), (side, side), e_bits)
    arguments = (error, trace, torch.empty(4, 3, 3, 3), 1, parameters)
    assert (code_convolutions.weight_gradient(*arguments) is None) == (e_bits == 16)
    found, expected = LOCAL_NUMBA.weight_gradient(*arguments), LOCAL_EAGER.weight_gradient(*arguments)
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))


def test_winners_are_taken_in_pairs_where_their_patches_are_long() -> None:
    assert winner_pairs.is_worth_it(7, 128)
    assert not winner_pairs.is_worth_it(7, 2)


def test_weights_that_change_in_place_are_packed_again() -> None:
    x, weight = torch.ones(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
    first = code_convolutions._packed(weight, (1.0, 1.0))
    assert code_convolutions._packed(weight, (1.0, 1.0)) is first
    weight += 1
    assert code_convolutions._packed(weight, (1.0, 1.0)).total == 2 * x.numel()


def test_drive_does_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmp, "GRAIN", 1)
    threads, results = torch.get_num_threads(), []
    x, weight, errors = (
        codes(shape, seed, -100, 100) for seed, shape in enumerate(((5, 5, 6, 16), (33, 5, 4, 4), (5, 33, 3, 13)))
    )
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append([LOCAL_NUMBA.convolve_codes(x, weight, 0), LOCAL_NUMBA.correlate_codes(errors, x, 4, 0)])
    finally:
        torch.set_num_threads(threads)
    assert all(same(one, other) for result in results[1:] for one, other in zip(result, results[0], strict=True))
