"""Convolutions driven by spikes, and whole convolutional layers, give the bits of the plain-torch definition."""

from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from odd_tensors import NUMBA, SEEDS, WIDTHS, same, strided, values
from torch import Tensor

from qsnn.dynamics import LIFParameters, LIFState
from qsnn.kernels.backend import ConvolutionSettings
from qsnn.kernels.convolution import convolution_current, convolution_errors
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.convolution import layers, neurons
from qsnn.models.geometry import Geometry, Shape

DENSITIES = st.sampled_from([0.0, 0.02, 0.3, 0.49, 0.7, 1.0])
few = settings(max_examples=25, deadline=None)
PLAIN = LIFParameters(0.75, 0.875, 0.4, 5.0, 8, 8, 8, False)


class Case(NamedTuple):
    """A convolution of maps."""

    inputs: Shape
    geometry: Geometry


@st.composite
def cases(draw: Any) -> Case:
    """Of odd sizes, one row of maps wider than the blocks of the kernels, with every kind of edge."""
    maps = st.sampled_from([1, 2, 3, 16, 17])
    inputs = draw(maps), draw(st.integers(1, 9)), draw(st.sampled_from([1, 4, 7, 18, 35]))
    geometry = Geometry(
        draw(st.sampled_from([1, 3, 16, 33])), draw(st.integers(1, 6)), draw(st.integers(0, 3)), draw(st.integers(1, 3)),
        draw(st.integers(1, 4)),
    )  # fmt: skip
    assume(min(geometry.output_shape(inputs)) > 0)
    return Case(inputs, geometry)


def layer_of(
    case: Case, seed: int, weight_bits: int | None, error_bits: int | None, scale: float = 2.0
) -> ConvolutionSettings:
    generator = torch.Generator().manual_seed(seed)
    side = case.geometry.kernel_size
    weight = torch.rand(case.geometry.channels, case.inputs[0], side, side, generator=generator) * 2 - 1
    return ConvolutionSettings(weight, weight_bits, scale, error_bits, case.geometry.stride, case.geometry.padding)


def spikes(generator: torch.Generator, density: float, *shape: int) -> Tensor:
    return strided((torch.rand(shape, generator=generator) < density).float(), generator)


@given(cases(), SEEDS, WIDTHS, WIDTHS, DENSITIES, st.integers(1, 5), st.booleans())
@few
def test_convolution_of_spikes_and_its_errors(
    case: Case, seed: int, weight_bits: int, error_bits: int, density: float, samples: int, wants_input: bool
) -> None:
    generator, layer = torch.Generator().manual_seed(seed), layer_of(case, seed, weight_bits, error_bits)
    x = spikes(generator, density, samples, *case.inputs)
    current = EAGER.convolution_current(x, layer)
    same(NUMBA.convolution_current(x, layer), current)
    grad = values(generator, *current.shape)
    ours, theirs = (backend.convolution_errors(x, grad, layer, wants_input) for backend in (NUMBA, EAGER))
    same(ours[1], theirs[1])
    assert (ours[0] is None) == (theirs[0] is None) == (not wants_input)
    if theirs[0] is not None:
        same(ours[0], theirs[0])


@pytest.mark.parametrize(("channels", "side"), [(16, 3), (16, 5), (32, 3), (80, 2), (130, 1)])
def test_errors_at_the_inputs_of_usual_kernels_and_of_long_runs(channels: int, side: int) -> None:
    """Sums of usual ones stay in registers."""
    layer = layer_of(Case((channels, 5, 6), Geometry(20, side, 1, 1)), 0, 8, 8)
    generator = torch.Generator().manual_seed(0)
    x, grad = spikes(generator, 0.1, 2, channels, 5, 6), torch.randn(2, 20, 8 - side, 9 - side, generator=generator)
    same(NUMBA.convolution_errors(x, grad, layer, True), EAGER.convolution_errors(x, grad, layer, True))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("weight_bits", [4, 12])
def test_a_layer_shared_by_threads(weight_bits: int, threads: int) -> None:
    """Large enough for that; sums of 16 and of 32 bits."""
    case, generator = Case((2, 20, 21), Geometry(16, 5, 2, 2)), torch.Generator().manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        compare(case, layer_of(case, 0, weight_bits, 8), PLAIN, spikes(generator, 0.1, 8, 3, *case.inputs), None)
    finally:
        torch.set_num_threads(before)


def compare(
    case: Case, layer: ConvolutionSettings, neuron: LIFParameters, x: Tensor, state: LIFState | None
) -> tuple[Any, Any]:
    """A layer's pass both ways by both backends, the way back from a gradient at the pooled spikes."""
    pooling, generator = case.geometry.pooling, torch.Generator().manual_seed(1)
    ours, theirs = (backend.convolution_sequence(x, state, layer, neuron, pooling) for backend in (NUMBA, EAGER))
    same(ours[:3], theirs[:3])
    assert ours.maps == theirs.maps == case.geometry.neurons(case.inputs)
    grad = values(generator, *theirs.output.shape)
    back = [
        backend.convolution_sequence_backward(grad, done, state, neuron, pooling)
        for backend, done in ((NUMBA, ours), (EAGER, theirs))
    ]
    same(*back)
    return ours, theirs


@given(
    cases(),
    SEEDS,
    WIDTHS,
    st.tuples(*[st.sampled_from([1, 2, 5, 8, 8, 8, 12, 16])] * 3),
    DENSITIES,
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, None, 13]),
)
@few
def test_a_layer_of_lif_neurons_both_ways(
    case: Case,
    seed: int,
    weight_bits: int,
    bits: tuple[int, int, int],
    density: float,
    at_rest: bool,
    mask: bool,
    surrogate_bits: int | None,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    alpha, beta = (float(decay) for decay in torch.rand(2, generator=generator))
    neuron = LIFParameters(alpha, beta, 0.4, 5.0, *bits, mask, surrogate_bits, state_range=(1.0, 4.0)[seed % 2])
    channels, height, width = case.geometry.neurons(case.inputs)
    size = 2, channels * height * width
    state = (
        None if at_rest or surrogate_bits else LIFState(*(torch.randn(size, generator=generator) / 3 for _ in range(2)))
    )
    x = spikes(generator, density, 5, 2, *case.inputs)
    ours, _ = compare(case, layer_of(case, seed, weight_bits, bits[2]), neuron, x, state)
    assert (ours.tape is None) == (1 in bits)


CASE = Case((2, 6, 19), Geometry(3, 3, 1, 2))


@pytest.mark.parametrize(
    "neuron",
    [
        PLAIN._replace(membrane_bits=None),
        PLAIN._replace(error_bits=None, synapse_bits=None),
        PLAIN._replace(membrane_decay=torch.linspace(0.5, 0.9, 3 * 6 * 19)),
    ],
)
def test_neurons_that_the_kernel_is_not_made_for_are_composed(neuron: LIFParameters) -> None:
    x = spikes(torch.Generator().manual_seed(0), 0.2, 6, 2, *CASE.inputs)
    ours, _ = compare(CASE, layer_of(CASE, 0, 8, neuron.error_bits), neuron, x, None)
    assert ours.tape is None


@pytest.mark.parametrize("window", [1, neurons.LARGEST_WINDOW, neurons.LARGEST_WINDOW + 1])
def test_windows_up_to_those_whose_places_fit_a_byte(window: int) -> None:
    case = Case((2, 18, 36), Geometry(3, 3, 1, window))
    x = spikes(torch.Generator().manual_seed(0), 0.2, 6, 2, *case.inputs)
    ours, _ = compare(case, layer_of(case, 0, 8, 8), PLAIN, x, None)
    assert (ours.tape is None) == (window > neurons.LARGEST_WINDOW)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 0.3, -1.0])
def test_inputs_weights_states_and_gradients_that_are_no_codes(odd: float) -> None:
    generator, layer = torch.Generator().manual_seed(0), layer_of(CASE, 0, 8, 8)
    x = spikes(generator, 0.2, 6, 2, *CASE.inputs)
    wrong, weight, state = x.clone(), layer.weight.clone(), torch.zeros(2, 3 * 6 * 19)
    for tensor in (wrong, weight, state):
        tensor.view(-1)[7] = odd
    compare(CASE, layer, PLAIN, wrong, None)
    compare(CASE, layer._replace(weight=weight), PLAIN, x, None)
    compare(CASE, layer, PLAIN, x, LIFState(state, state))
    done = [backend.convolution_sequence(x, None, layer, PLAIN, 2) for backend in (NUMBA, EAGER)]
    grad = torch.randn(done[0].output.shape, generator=generator)
    grad.view(-1)[-3] = odd
    same(*(b.convolution_sequence_backward(grad, d, None, PLAIN, 2) for b, d in zip((NUMBA, EAGER), done, strict=True)))


@pytest.mark.parametrize(("weight_bits", "error_bits"), [(None, None), (8, None), (None, 8)])
def test_full_precision_is_the_definition_itself(weight_bits: int | None, error_bits: int | None) -> None:
    layer, generator = layer_of(CASE, 0, weight_bits, error_bits, 3.0), torch.Generator().manual_seed(0)
    x = spikes(generator, 0.2, 6, *CASE.inputs)
    current = convolution_current(x, layer)
    same(NUMBA.convolution_current(x, layer), current)
    grad = torch.randn(current.shape, generator=generator)
    same(NUMBA.convolution_errors(x, grad, layer, True), convolution_errors(x, grad, layer, True))


def test_errors_at_inputs_are_exact_beyond_what_a_float_counts() -> None:
    """16-bit weights times 16-bit errors of many maps: more than 2^31 steps in a sum."""
    case = Case((1, 5, 20), Geometry(33, 5, 2, 1))
    layer = layer_of(case, 0, 16, 16)._replace(weight=torch.full((33, 1, 5, 5), 0.9))
    x, grad = torch.ones(1, *case.inputs), torch.ones(1, 33, 5, 20)
    grad_x, _ = NUMBA.convolution_errors(x, grad, layer, True)
    codes = round(0.9 * 2**15) * (2**15 - 1)
    assert grad_x is not None
    assert float(grad_x[0, 0, 2, 9]) == float(torch.tensor(33 * 25 * codes / 2**31, dtype=torch.float64).float())


def test_gradients_of_another_pass_between_both_ways_leave_the_tape_alone() -> None:
    """Memory of large results is used again, but not while a tape holds it."""
    case = Case((2, 40, 40), Geometry(16, 3, 1, 2))
    x, layer = spikes(torch.Generator().manual_seed(0), 0.1, 30, 1, *case.inputs), layer_of(case, 0, 8, 8)
    first = layers.sequence(x, None, layer, PLAIN, 2)
    assert first is not None
    grad = torch.randn(first.output.shape, generator=torch.Generator().manual_seed(1))
    expected = layers.sequence_backward(grad, first, PLAIN, 2)
    for density in (0.3, 0.4):
        layers.sequence(spikes(torch.Generator().manual_seed(2), density, *x.shape), None, layer, PLAIN, 2)
    assert expected is not None
    same(layers.sequence_backward(grad, first, PLAIN, 2), expected)
