"""Weight updates: equal to torch's optimizers, and integer where they claim to be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qsnn.dynamics import SGD, Adam, Adamax, UpdateRule
from qsnn.kernels.backend import Backend
from qsnn.kernels.dispatch import select_backend

RULES = {
    "sgd": (SGD(0.1), lambda w: torch.optim.SGD(w, lr=0.1)),
    "momentum": (SGD(0.1, 0.9), lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9)),
    "adam": (Adam(0.1, 0.9, 0.999, 1e-8), lambda w: torch.optim.Adam(w, lr=0.1, betas=(0.9, 0.999), eps=1e-8)),
    "adamax": (Adamax(0.1, 0.9, 0.999, 1e-8), lambda w: torch.optim.Adamax(w, lr=0.1, betas=(0.9, 0.999), eps=1e-8)),
}


def updates(rule: UpdateRule, backend: Backend, gradients: list[torch.Tensor]) -> torch.Tensor:
    weight = torch.linspace(-1, 1, gradients[0].numel()).reshape(gradients[0].shape)
    slots = tuple(torch.zeros_like(weight) for _ in range(rule.num_slots))
    for step, gradient in enumerate(gradients, 1):
        weight, slots = backend.update_weights(rule, weight, gradient, slots, step)
    return weight


def some_gradients(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(6, 5, generator=generator) * (torch.rand(6, 5, generator=generator) < 0.5) for _ in range(count)
    ]


@pytest.mark.parametrize("name", RULES)
def test_update_equals_torchs_optimizer(name: str, backend: Backend) -> None:
    rule, make = RULES[name]
    gradients = some_gradients(20)
    weight = torch.linspace(-1, 1, 30).reshape(6, 5).requires_grad_()
    optimizer = make([weight])
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    assert torch.allclose(updates(rule, backend, gradients), weight.detach(), rtol=1e-5, atol=1e-6)


@given(st.integers(2, 16), st.integers(0, 1000))
def test_sgd_with_lr_one_stays_on_the_integer_grid(gradient_bits: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    step = 2.0 ** -(gradient_bits - 1)
    weight = torch.randint(-100, 100, (50,), generator=generator) * step
    for _ in range(10):
        weight, _ = SGD(1.0).update(weight, torch.randint(-3, 4, (50,), generator=generator) * step, (), 1)
    assert torch.equal(weight / step, (weight / step).round())


@pytest.mark.parametrize("name", RULES)
def test_update_is_the_same_to_the_last_bit_with_every_backend(name: str) -> None:
    rule, _ = RULES[name]
    generator = torch.Generator().manual_seed(1)
    gradients = [torch.randint(-1, 2, (37, 23), generator=generator) / 128 for _ in range(5)]
    gradients += [torch.zeros(37, 23) for _ in range(600)]  # long enough for every mean to decay to dust
    ours = [updates(rule, select_backend(kernels, "cpu"), gradients) for kernels in ("eager", "numba")]
    assert torch.equal(*ours)
