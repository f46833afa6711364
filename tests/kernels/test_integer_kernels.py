"""The kernels of integer arithmetic, a table for the surrogate and a filter in fixed point, give the bits of plain torch."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from odd_tensors import NUMBA, SEEDS, SIZES, WIDTHS, few, same, strided
from torch import Tensor

from qsnn.dynamics import LIFParameters
from qsnn.kernels.backend import LayerSettings
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.gradients import fused_gradients
from qsnn.quantization import initial_weights, random_stream

RANGES = st.sampled_from([1.0, 4.0, 16.0])
SLOPES = st.sampled_from([1.0, 5.0, 100.0])


def integers(generator: torch.Generator, limit: int, *shape: int) -> Tensor:
    return strided(torch.randint(-limit, limit + 1, shape, generator=generator).float(), generator)


@given(SEEDS, WIDTHS, WIDTHS, WIDTHS, SLOPES, st.integers(8, 20), SIZES, st.booleans(), RANGES)
@few
def test_backward_pass_by_the_table_has_the_bits_of_plain_torch(
    seed: int,
    syn: int,
    mem: int,
    err: int,
    slope: float,
    surrogate_bits: int,
    neurons: int,
    mask: bool,
    state_range: float,
) -> None:
    generator, shape = torch.Generator().manual_seed(seed), (6, 3, neurons)
    neuron = LIFParameters(0.75, 0.875, 0.4, slope, syn, mem, err, mask, surrogate_bits, state_range)
    current, grad = integers(generator, 600, *shape) / 256, integers(generator, 2**14, *shape)
    activity = EAGER.lif_sequence(current, None, neuron)
    arguments = (grad, current, activity, None, neuron)
    same(NUMBA.lif_sequence_backward(*arguments), EAGER.lif_sequence_backward(*arguments))


@pytest.mark.parametrize("threads", [2, 3])
def test_backward_pass_by_the_table_is_the_same_shared_by_threads(threads: int) -> None:
    generator, before = torch.Generator().manual_seed(threads), torch.get_num_threads()
    neuron = LIFParameters(0.75, 0.875, 0.4, 5.0, 8, 8, 8, False, 13)
    current, grad = integers(generator, 600, 9, 3, 1037) / 256, integers(generator, 99, 9, 3, 1037)
    activity = EAGER.lif_sequence(current, None, neuron)
    torch.set_num_threads(threads)
    try:
        ours = NUMBA.lif_sequence_backward(grad, current, activity, None, neuron)
    finally:
        torch.set_num_threads(before)
    same(ours, EAGER.lif_sequence_backward(grad, current, activity, None, neuron))


@given(SEEDS, st.sampled_from([0.5, 0.75, 0.9375, 0.0]), st.integers(1, 12), SIZES)
@few
def test_filter_in_fixed_point_has_the_bits_of_plain_torch(
    seed: int, decay: float, filter_bits: int, neurons: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    raster, target = ((integers(generator, 1, 40, 2, neurons) > 0).float() for _ in range(2))
    arguments = raster, target, decay, filter_bits
    same(NUMBA.van_rossum_codes(*arguments), EAGER.van_rossum_codes(*arguments))


@pytest.mark.parametrize("sizes", [(40, 30, 20), (30, 25, 20, 17)])
def test_fused_kernel_in_integers_has_the_bits_of_the_single_operations(sizes: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(len(sizes))
    neuron = LIFParameters(0.75, 0.875, 0.9, 5.0, 8, 8, 8, False, 13)
    layers = [
        LayerSettings(initial_weights(random_stream(1, str(shape)), shape, 0.99, 8), 2, 0.5, neuron)
        for shape in pairwise(sizes)
    ]
    x, target = ((integers(generator, 2, 30, 2, size) > 1).float() for size in (sizes[0], sizes[-1]))
    arguments = x, target, layers, 0.75, 5e-3, 8
    fused, expected = fused_gradients(*arguments), EAGER.net_gradients(*arguments)
    assert fused is not None
    assert all(layer.gradient.any() for layer in expected.layers)
    same(tuple(fused), tuple(expected))
