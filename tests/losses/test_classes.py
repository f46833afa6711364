"""Losses of classes: their gradients, what is left out where errors are quantized, ties, and what is wanted of counts."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_nets import naive_cross_entropy, naive_logits
from torch import Tensor

from qsnn.losses.classes import ClassLoss
from qsnn.losses.cross_entropy import CrossEntropy, CrossEntropyLoss, IntegerCrossEntropyLoss
from qsnn.losses.integer_softmax import softmax_table
from qsnn.losses.spike_count import SpikeCount, SpikeCountLoss
from qsnn.training.class_scores import predictions, tied


def gradient(loss: ClassLoss, output: Tensor, labels: Tensor) -> Tensor:
    leaf = output.clone().requires_grad_()
    loss(leaf, labels).backward()
    assert leaf.grad is not None
    return leaf.grad


def some(seed: int, steps: int, batch: int, classes: int, over_time: str | None) -> tuple[Tensor, Tensor]:
    """Spikes, or membranes, and labels."""
    generator = torch.Generator().manual_seed(seed)
    shape = (steps, batch, classes)
    output = torch.randn(shape, generator=generator) if over_time else (torch.rand(shape, generator=generator) < 0.4)
    return output.double(), torch.randint(0, classes, (batch,), generator=generator)


SIZES = {
    "seed": st.integers(0, 10**6), "steps": st.integers(1, 9), "batch": st.integers(1, 5), "classes": st.integers(2, 6),
    "temperature": st.sampled_from([0.25, 1.0, 3.0]),
}  # fmt: skip


@pytest.mark.parametrize("over_time", [None, "max", "mean"])
@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_cross_entropy_and_its_gradient_equal_autograd_in_full_precision(
    over_time: str | None, seed: int, steps: int, batch: int, classes: int, temperature: float
) -> None:
    output, labels = some(seed, steps, batch, classes, over_time)
    leaf = output.clone().requires_grad_()
    value = naive_cross_entropy(naive_logits(leaf, temperature, over_time), labels)
    value.backward()
    loss = CrossEntropyLoss(temperature, over_time, quantized=False)
    assert loss(output, labels).item() == pytest.approx(value.item())
    assert leaf.grad is not None
    assert torch.allclose(gradient(loss, output, labels), leaf.grad, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("over_time", [None, "max", "mean"])
@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_quantized_cross_entropy_gradient_has_neither_1_over_b_nor_1_over_t(
    over_time: str | None, seed: int, steps: int, batch: int, classes: int, temperature: float
) -> None:
    output, labels = some(seed, steps, batch, classes, over_time)
    whole, left_out = (CrossEntropyLoss(temperature, over_time, quantized) for quantized in (False, True))
    factor = batch * (steps if over_time == "mean" else 1)
    found = gradient(left_out, output, labels)
    assert found.shape == output.shape
    assert torch.allclose(found, gradient(whole, output, labels) * factor, rtol=1e-12, atol=1e-15)
    assert whole(output, labels) == left_out(output, labels)
    at_output = found.sum(0) if over_time == "max" else found[0]
    onehot = torch.eye(classes, dtype=torch.float64)[labels]
    expected = temperature * (whole.logits(output).softmax(1) - onehot)
    assert torch.allclose(at_output, expected, rtol=1e-12)
    assert torch.allclose(at_output.sum(1), torch.zeros(batch, dtype=torch.float64), atol=1e-12)
    assert (at_output.gather(1, labels[:, None]) <= 0).all()


def test_gradient_of_the_maximum_is_at_the_first_of_equal_steps() -> None:
    output = torch.tensor([[0.0, 2.0], [1.0, 2.0], [1.0, 0.0]])[:, None]
    found = gradient(CrossEntropyLoss(1.0, "max", True), output, torch.tensor([0]))[:, 0]
    assert (found != 0).tolist() == [[False, True], [True, False], [False, False]]


@settings(max_examples=50, deadline=None)
@given(**SIZES, true_rate=st.floats(0.3, 1), false_rate=st.floats(0, 0.2), quantized=st.booleans())
def test_spike_count_gradient_is_the_whole_number_of_spikes_too_many(
    seed: int,
    steps: int,
    batch: int,
    classes: int,
    temperature: float,
    true_rate: float,
    false_rate: float,
    quantized: bool,
) -> None:
    output, labels = some(seed, steps, batch, classes, None)
    loss = SpikeCountLoss(true_rate, false_rate, quantized)
    wanted = torch.full((batch, classes), float(torch.tensor(false_rate * steps, dtype=torch.float64).round()))
    wanted[range(batch), labels] = float(torch.tensor(true_rate * steps, dtype=torch.float64).round())
    excess = output.sum(0) - wanted
    assert loss(output, labels).item() == pytest.approx((excess**2).sum().item() / 2 / batch)
    found = gradient(loss, output, labels)
    assert torch.equal(found, (excess if quantized else excess * (1 / batch)).expand_as(found))


@pytest.mark.parametrize(("steps", "wanted"), [(5, 2), (15, 4), (25, 8), (35, 10)])
def test_spike_count_rounds_half_spikes_to_even(steps: int, wanted: int) -> None:
    loss = SpikeCountLoss(0.3, 0.0, True)
    assert loss.wanted(torch.tensor([1]), torch.zeros(1, 3), steps).tolist() == [[0, wanted, 0]]


@settings(max_examples=30, deadline=None)
@given(**SIZES, bits=st.integers(1, 16))
def test_integer_cross_entropy_gradient_is_that_of_floats_rounded_to_its_bits(
    seed: int, steps: int, batch: int, classes: int, temperature: float, bits: int
) -> None:
    output, labels = some(seed, steps, batch, classes, None)
    found = gradient(IntegerCrossEntropyLoss(temperature, bits), output, labels)
    assert torch.equal(found, found.round())
    assert found.abs().max() <= 2**bits == IntegerCrossEntropyLoss(temperature, bits).largest_error(steps)
    exact = gradient(CrossEntropyLoss(temperature, None, True), output, labels) / temperature * 2**bits
    # Entries are off by half a code at most, the one of the largest count is exact, so that a sum of them is above 2^bits.
    assert (found - exact).abs().max() <= 0.5 + 0.5 * classes
    assert (found.gather(2, labels.expand(steps, batch)[..., None]) <= 0).all()


def test_softmax_table_is_rounded_from_exponentials() -> None:
    assert softmax_table(0.5, 4, 10).tolist() == [1024, 621, 377, 228, 139]
    assert softmax_table(3.0, 3, 4).tolist() == [16, 1, 0, 0]


@pytest.mark.parametrize("loss", [SpikeCountLoss(0.4, 0.1, True), CrossEntropyLoss(0.5, None, True)])
def test_prediction_of_equal_counts_is_the_lowest_class(loss: ClassLoss) -> None:
    output = torch.zeros(4, 3, 5)
    output[0, 0, 2] = output[1, 0, 4] = output[:3, 1, 3] = 1
    logits = loss.logits(output)
    assert predictions(logits).tolist() == [2, 3, 0]
    assert tied(logits) == 2


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=6))
def test_prediction_is_the_first_largest_and_ties_are_counted(counts: list[list[int]]) -> None:
    votes = torch.tensor(counts)
    assert predictions(votes).tolist() == [row.index(max(row)) for row in counts]
    assert tied(votes) == sum(row.count(max(row)) > 1 for row in counts)


def test_losses_stay_finite_at_extreme_logits() -> None:
    output = torch.zeros(500, 2, 3)
    output[:, :, 0] = 1
    for quantized in (False, True):
        loss = CrossEntropyLoss(10.0, None, quantized)
        assert math.isfinite(loss(output, torch.tensor([1, 2])).item())
        assert gradient(loss, output, torch.tensor([1, 2])).isfinite().all()


def test_options_make_the_readout_that_the_logits_need() -> None:
    assert CrossEntropy().integrator(0.001, 8, 8) is None
    assert SpikeCount().integrator(0.001, 8, 8) is None
    readout = CrossEntropy(logits="membrane", tau_readout=0.2, tau_readout_syn=0.01, decay="exponential")
    made = readout.integrator(0.002, None, 6)
    assert made is not None
    assert made == (pytest.approx(math.exp(-0.2)), pytest.approx(math.exp(-0.01)), None, 6)
    assert list(readout.problems_at(0.001)) == []
    assert len(list(CrossEntropy(logits="membrane", tau_readout=0.0001, decay="euler").problems_at(0.001))) == 1
