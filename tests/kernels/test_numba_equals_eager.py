"""Every numba operation returns the bits of the plain-torch definition, whatever the sizes, widths and strides."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.dynamics import SGD, Adam, Adamax, LIFActivity, LIFParameters, LIFState, UpdateRule
from qsnn.kernels.backend import Backend, GradientRounding, StoredWeight
from qsnn.kernels.dispatch import select_backend
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.backend import NEURONS
from qsnn.quantization import RNG_RULES, RandomStream, quantize, symmetric

NUMBA = select_backend("numba", "cpu")
PARAMETERS = LIFParameters(0.75, 0.875, 0.9, 100.0, 8, 8, 8)
BITS = st.one_of(st.none(), st.integers(1, 16))
WIDTHS = st.integers(1, 16)
SEEDS = st.integers(0, 2**31)
BATCHES = st.sampled_from([1, 3, 64])
SIZES = st.sampled_from([1, 2, 7, 16, 31, 64, 65, 130])
few = settings(max_examples=60, deadline=None)


def strided(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The same values, in a memory layout of one kind or another."""
    kind = int(torch.randint(4, (), generator=generator))
    if kind == 1:
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    if kind == 2:
        return torch.stack([tensor, tensor + 1], -1)[..., 0]
    return tensor[:1].expand_as(tensor) if kind == 3 else tensor


def values(generator: torch.Generator, *shape: int, sparse: float = 0.5) -> Tensor:
    """Numbers of very different sizes, many of them 0, in some layout."""
    size = 10.0 ** torch.randint(-4, 3, (), generator=generator)
    kept = torch.rand(shape, generator=generator) < sparse
    return strided(torch.randn(shape, generator=generator) * size * kept, generator)


def spikes(generator: torch.Generator, *shape: int) -> Tensor:
    rate = torch.rand((), generator=generator) ** 2
    return strided((torch.rand(shape, generator=generator) < rate).float(), generator)


def same(ours: Any, theirs: Any) -> None:
    """Equal to the last bit, NaN where the other has NaN; tensors, numbers, or tuples of them."""
    if isinstance(theirs, tuple):
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
        return
    if not isinstance(theirs, Tensor):
        assert ours == theirs
        return
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


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


@given(SEEDS, BITS, BITS, BITS, BATCHES, SIZES, st.booleans(), st.booleans())
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
) -> None:
    generator, shape = torch.Generator().manual_seed(seed), (6, batch, neurons)
    alpha, beta = torch.rand(2, neurons, generator=generator)
    decays = (alpha, beta) if per_neuron else (float(alpha[0]), float(beta[0]))
    parameters = LIFParameters(*decays, 0.4, 100.0, syn, mem, err, threshold_mask)
    current, grad = values(generator, *shape, sparse=0.9).clamp(-2, 2), values(generator, *shape)
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


@given(
    SEEDS, WIDTHS, st.integers(1, 24), st.sampled_from(RNG_RULES), st.sampled_from([0.1, 1.0, 0.003, 64.0]), SIZES, SIZES
)  # fmt: skip
@few
def test_rounded_gradients_streams_and_largest_integers(
    seed: int, bits: int, rng_bits: int, rng_rule: str, eta: float, inputs: int, neurons: int
) -> None:
    gradient = values(torch.Generator().manual_seed(seed), inputs, neurons)
    stream = RandomStream(seed * 2**33 + 1, seed % 1000)
    arguments = (gradient, stream, GradientRounding(eta, bits, rng_bits, rng_rule))
    theirs = EAGER.round_gradient(*arguments)
    same(NUMBA.round_gradient(*arguments), theirs)
    assert theirs.largest_code == (theirs.gradient.double() * 2 ** (bits - 1)).abs().max()


@pytest.mark.parametrize("rng_rule", RNG_RULES)
def test_rounded_gradients_at_every_fraction_of_a_step(rng_rule: str) -> None:
    """Fractions on and beside the generator's steps, and those that are carried to the next integer."""
    for rng_bits in range(1, 25):
        steps = torch.arange(2**11, dtype=torch.float64)[:, None] / 2**11 + torch.arange(-2, 3) * 2.0 ** -(rng_bits + 1)
        gradient = torch.cat([torch.ones(5), steps.flatten().clamp(0, 1 - 2.0**-24).float()])[None]
        for key in range(3):
            arguments = (gradient, RandomStream(key), GradientRounding(1.0, 8, rng_bits, rng_rule))
            same(NUMBA.round_gradient(*arguments), EAGER.round_gradient(*arguments))


RULES = [SGD(0.1), SGD(0.1, 0.9), Adam(1e-3, 0.9, 0.999, 1e-8), Adamax(0.05, 0.9, 0.999, 1e-8)]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_weight_updates(rule: UpdateRule) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(33, 65, generator=generator)
    runs = {b: (weight.clone(), tuple(torch.zeros_like(weight) for _ in range(rule.num_slots))) for b in (NUMBA, EAGER)}
    for step in range(1, 8):
        gradient = values(generator, 33, 65, sparse=0.3)
        if step == 7:
            gradient = gradient.clone()
            gradient[3, 4] = float("nan")
        for backend, (weights, slots) in runs.items():
            runs[backend] = backend.update_weights(rule, weights, gradient, slots, step)
        same(runs[NUMBA][0], runs[EAGER][0])
        same(runs[NUMBA][1], runs[EAGER][1])
    assert not NUMBA.all_finite(runs[NUMBA][0])
    assert NUMBA.all_finite(weight)
    assert not NUMBA.all_finite(torch.tensor([[1.0, float("-inf")]]))


def trained(backend: Backend, rule: UpdateRule, bits: int | None, rounding: GradientRounding, steps: int) -> list[Any]:
    """Everything that some training steps of two layers give; the second has rows of zeros only."""
    results: list[Any] = []
    for shape in ((33, 65), (40, 17)):
        generator, stream = torch.Generator().manual_seed(0), RandomStream(shape[0] * 2**50 + 1)
        weight = torch.randn(shape, generator=generator)
        slots: tuple[Tensor, ...] = tuple(torch.zeros_like(weight) for _ in range(rule.num_slots))
        for step in range(1, steps + 1):
            gradient = values(generator, *shape, sparse=0.3).clone()
            gradient[5:9] = 0
            layer = StoredWeight(weight, gradient, slots, stream, rounding, bits)
            (update,) = backend.train_weights(rule, step, step % 2 == 0, [layer])
            slots, stream = update.slots, update.stream
            current = backend.input_current(torch.eye(shape[0])[:, None], weight, bits, 2.0)
            copies = weight.clone(), tuple(slot.clone() for slot in slots)
            results.append((update.finite, *copies, stream, update.rounded, update.largest_code, current))
    return results


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("bits", [None, 1, 2, 8, 9])
@pytest.mark.parametrize(("gradient_bits", "rng_rule"), [(None, "original"), (8, "original"), (8, "unbiased")])
def test_training_steps_of_weights(
    rule: UpdateRule, bits: int | None, gradient_bits: int | None, rng_rule: str
) -> None:
    rounding = GradientRounding(5.7, gradient_bits, 16, rng_rule)
    ours, theirs = (trained(backend, rule, bits, rounding, 5) for backend in (NUMBA, EAGER))
    same(tuple(ours), tuple(theirs))
    assert all(finite for finite, *_ in ours)


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("bits", [None, 2])
def test_a_training_step_reports_weights_that_are_not_finite(odd: float, bits: int | None) -> None:
    for backend in (NUMBA, EAGER):
        mean, rounding = torch.zeros(4, 20), GradientRounding(0.1, 8, 16)
        mean[2, 3] = odd
        layers = [
            StoredWeight(torch.zeros(4, 20), torch.ones(4, 20), (slot,), RandomStream(1), rounding, bits)
            for slot in (mean, torch.zeros(4, 20))
        ]
        updates = backend.train_weights(SGD(0.1, 0.9), 1, False, layers)
        assert [update.finite for update in updates] == [False, True]


def test_training_steps_of_weights_that_are_not_contiguous_go_to_the_definition() -> None:
    weights = [torch.zeros(20, 4).T for _ in range(2)]
    for backend, weight in zip((NUMBA, EAGER), weights, strict=True):
        gradient = torch.linspace(-1, 1, 80).reshape(4, 20)
        layer = StoredWeight(weight, gradient, (), RandomStream(1), GradientRounding(1.0, 8, 16), 2)
        backend.train_weights(SGD(0.1), 1, False, [layer])
    same(*weights)


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
