"""Rounded gradients and updates of weights: numba returns the bits of the plain-torch definition."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from odd_tensors import NUMBA, SEEDS, SIZES, WIDTHS, few, same, values
from torch import Tensor

from qsnn.dynamics import SGD, Adam, Adamax, UpdateRule
from qsnn.kernels.backend import Backend, GradientRounding, StoredWeight
from qsnn.kernels.eager import EAGER
from qsnn.quantization import RNG_RULES, RandomStream


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


RULES = [
    SGD(0.1),
    SGD(0.1, 0.9),
    SGD(1.0, 0.875, 2.0**-9),
    Adam(1e-3, 0.9, 0.999, 1e-8),
    Adamax(0.05, 0.9, 0.999, 1e-8),
]


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
