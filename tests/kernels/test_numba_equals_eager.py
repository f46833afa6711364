"""Every numba operation returns the bits of the plain-torch definition, whatever the sizes, widths and strides."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from odd_tensors import NUMBA, SEEDS, SIZES, WIDTHS, few, same, strided, values
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFParameters, LIFState
from qsnn.kernels.backend import GradientRounding
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.backend import NEURONS
from qsnn.quantization import RNG_RULES, RandomStream, quantize, symmetric

PARAMETERS = LIFParameters(0.75, 0.875, 0.9, 100.0, 8, 8, 8)
BITS = st.one_of(st.none(), st.integers(1, 16))
RANGES = st.sampled_from([1.0, 1.0, 4.0, 16.0])
BATCHES = st.sampled_from([1, 3, 64])


def spikes(generator: torch.Generator, *shape: int) -> Tensor:
    rate = torch.rand((), generator=generator) ** 2
    return strided((torch.rand(shape, generator=generator) < rate).float(), generator)


@given(SEEDS, BITS, st.sampled_from([1.0, 2.0, 0.25, 64.0, 3.0]), SIZES, SIZES)
@few
def test_currents_of_stored_weights(seed: int, bits: int | None, scale: float, inputs: int, neurons: int) -> None:
    """Weights of any size, in and out of their format's range; one input spike at a time shows them one by one."""
    weight = values(torch.Generator().manual_seed(seed), inputs, neurons)
    for raster in (torch.eye(inputs)[:, None], torch.eye(max(inputs, 3))[:, None, :inputs]):
        same(NUMBA.input_current(raster, weight, bits, scale), EAGER.input_current(raster, weight, bits, scale))
    clamped = [weight.clone(), weight.clone()]
    for backend, stored in zip((NUMBA, EAGER), clamped, strict=True):
        backend.clamp_weights(stored, bits)
    same(*clamped)


@given(SEEDS, BITS, BATCHES, SIZES)
@few
def test_quantized_errors(seed: int, bits: int | None, batch: int, neurons: int) -> None:
    error = values(torch.Generator().manual_seed(seed), 5, batch, neurons)
    same(NUMBA.quantize_error(error, bits), EAGER.quantize_error(error, bits))


@pytest.mark.parametrize(
    "largest", [0.0, 1e-45, 1.2e-38, 1e-30, 2.0**-100, 2**0.5, 1e38, 3.4e38, float("inf"), float("nan")]
)
@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_errors_of_extreme_size(largest: float, bits: int) -> None:
    """Subnormal, infinite and missing maxima; NaN does not vanish."""
    error = torch.linspace(-1, 1, 97)[:, None] * largest
    same(NUMBA.quantize_error(error, bits), EAGER.quantize_error(error, bits))
    for rng_rule in RNG_RULES:
        rounding = GradientRounding(0.7, 8, 16, rng_rule)
        same(*(kernels.round_gradient(error, RandomStream(1), rounding) for kernels in (NUMBA, EAGER)))


@given(SEEDS, BITS, BITS, BITS, BATCHES, SIZES, st.booleans(), st.booleans(), RANGES)
@few
def test_the_recurrence_and_its_backward_pass(
    seed: int,
    syn: int | None,
    mem: int | None,
    err: int | None,
    batch: int,
    neurons: int,
    per_neuron: bool,
    threshold_mask: bool,
    state_range: float,
) -> None:
    generator, shape = torch.Generator().manual_seed(seed), (6, batch, neurons)
    alpha, beta = torch.rand(2, neurons, generator=generator)
    decays = (alpha, beta) if per_neuron else (float(alpha[0]), float(beta[0]))
    parameters = LIFParameters(*decays, 0.4, 100.0, syn, mem, err, threshold_mask, state_range=state_range)
    reach = 2 * state_range
    current, grad = values(generator, *shape, sparse=0.9).clamp(-reach, reach), values(generator, *shape)
    initial = LIFState(*(values(generator, batch, neurons).clamp(-1, 1) for _ in range(2)))
    activity = EAGER.lif_sequence(current, initial, parameters)
    same(NUMBA.lif_sequence(current, initial, parameters), activity)
    activity = LIFActivity(*(strided(tensor, generator) for tensor in activity))
    arguments = (grad, current, activity, initial, parameters)
    same(NUMBA.lif_sequence_backward(*arguments), EAGER.lif_sequence_backward(*arguments))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("error_bits", "neurons"), [(8, NEURONS), (2, NEURONS + 1), (None, NEURONS + 37)])
def test_the_backward_recurrence_shared_by_threads(threads: int, error_bits: int | None, neurons: int) -> None:
    """Each has its part of the neurons, and every step's error scales are those of all."""
    generator, shape = torch.Generator().manual_seed(neurons), (40, 3, neurons)
    parameters = PARAMETERS._replace(error_bits=error_bits)
    current, grad = torch.randn(shape, generator=generator) / 4, torch.randn(shape, generator=generator)
    activity, before = EAGER.lif_sequence(current, None, parameters), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = NUMBA.lif_sequence_backward(grad, current, activity, None, parameters)
    finally:
        torch.set_num_threads(before)
    same(ours, EAGER.lif_sequence_backward(grad, current, activity, None, parameters))


@given(SEEDS, st.sampled_from([0.75, 0.9, 0.8187]), BATCHES, SIZES)
@few
def test_the_van_rossum_distance_and_its_gradient(seed: int, decay: float, batch: int, neurons: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    raster, target = (spikes(generator, 9, batch, neurons) for _ in range(2))
    distance, difference = EAGER.van_rossum_distance(raster, target, decay, 5e-3)
    same(NUMBA.van_rossum_distance(raster, target, decay, 5e-3), (distance, difference))
    difference = strided(difference, generator)
    arguments = (difference, distance, decay, 5e-3)
    same(NUMBA.van_rossum_gradient(*arguments), EAGER.van_rossum_gradient(*arguments))


@given(SEEDS, st.one_of(st.none(), WIDTHS), WIDTHS, st.sampled_from([0.5, 2.0]), BATCHES, SIZES, SIZES, st.booleans())
@few
def test_the_products(
    seed: int, width: int | None, error_bits: int, scale: float, batch: int, inputs: int, neurons: int, known: bool
) -> None:
    """``known``: the errors come from the backend, which remembers their codes; else it finds these itself.

    ``width`` of None: the stored weights are on a grid of their own.
    """
    generator = torch.Generator().manual_seed(seed)
    source = NUMBA if known else EAGER
    raster, weight_bits = spikes(generator, 7, batch, inputs), width or 5
    weight = torch.rand(inputs, neurons, generator=generator) * 2 - 1
    if width is None:
        weight = quantize(weight, symmetric(weight_bits))
    # Errors of up to 10 bits: the sums of the widest times 16-bit weights no longer fit a float exactly.
    bits = min(error_bits, 10 if weight_bits <= 8 else 24 - weight_bits - 8)
    error = source.quantize_error(values(generator, 7, batch, neurons), max(1, bits))
    if not known:
        weight, error = strided(weight, generator), strided(error, generator)
    stored = (weight, width, scale)
    same(NUMBA.input_current(raster, *stored), EAGER.input_current(raster, *stored))
    same(NUMBA.weight_gradient(raster, error), EAGER.weight_gradient(raster, error))
    same(NUMBA.input_error(error, *stored), EAGER.input_error(error, *stored))


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 0.3, 2.0])
@pytest.mark.parametrize("bits", [None, 8])
def test_products_of_numbers_that_are_on_no_grid(odd: float, bits: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    raster, weight = (torch.rand(20, 2, 30, generator=generator) < 0.1).float(), torch.randn(30, 9, generator=generator)
    error = torch.randn(20, 2, 9, generator=generator)
    for tensor in (raster, weight, error):
        tensor.view(-1)[5] = odd
    same(NUMBA.input_current(raster, weight, bits, 1.0), EAGER.input_current(raster, weight, bits, 1.0))
    same(NUMBA.weight_gradient(raster, error), EAGER.weight_gradient(raster, error))
    same(NUMBA.input_error(error, weight, bits, 1.0), EAGER.input_error(error, weight, bits, 1.0))
    same(NUMBA.quantize_error(error, bits), EAGER.quantize_error(error, bits))


def test_many_spikes_of_one_input_do_not_overflow() -> None:
    """More rows than 8- and 16-bit sums hold, all at the end of the range, in several blocks of time steps."""
    raster, weight = torch.zeros(1500, 2, 400), torch.full((400, 5), -0.5)
    raster[:, :, 3], raster[7] = 1, 1
    raster[8, 0, :190] = 1
    for bits in (2, 8, 9, 12):
        error = quantize(torch.ones(1500, 2, 5), symmetric(bits))
        same(NUMBA.weight_gradient(raster, error), EAGER.weight_gradient(raster, error))
        same(NUMBA.input_current(raster, weight * 2, bits, 1.0), EAGER.input_current(raster, weight * 2, bits, 1.0))


OTHERS: dict[str, Callable[[Tensor], tuple[Any, ...]]] = {
    "quantize_error": lambda x: (x, 4),
    "lif_sequence": lambda x: (x, LIFState.zeros(x[0]), PARAMETERS),
    "input_current": lambda x: (x, x[0].T, 4, 2.0),
    "input_error": lambda x: (x, x[0], 4, 2.0),
    "round_gradient": lambda x: (x[0], RandomStream(1), GradientRounding(0.1, 8, 16)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_dtypes_go_to_the_definition(name: str) -> None:
    arguments = OTHERS[name](torch.randn(4, 3, 5, dtype=torch.float64))
    same(getattr(NUMBA, name)(*arguments), getattr(EAGER, name)(*arguments))


def test_empty_tensors_go_to_the_definition() -> None:
    nothing = torch.empty(0, 2, 3)
    assert NUMBA.lif_sequence(nothing, LIFState.zeros(torch.zeros(2, 3)), PARAMETERS).spikes.shape == (0, 2, 3)
    assert NUMBA.input_current(nothing, torch.zeros(3, 4), 2, 1.0).shape == (0, 2, 4)


def test_shapes_that_do_not_match_are_the_errors_of_torch() -> None:
    raster, weight, error = torch.eye(6)[:, None], torch.zeros(6, 5), torch.zeros(6, 1, 5)
    for call in (
        lambda: NUMBA.input_current(raster, weight[:5], 2, 1.0),
        lambda: NUMBA.input_error(error[..., :4], weight, 2, 1.0),
        lambda: NUMBA.weight_gradient(raster, error[:5]),
        lambda: NUMBA.van_rossum_distance(raster, raster[:5], 0.75, 5e-3),
    ):
        with pytest.raises(RuntimeError):
            call()
