"""Stochastic rounding of weight gradients."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from qsnn.quantization import RNG_RULES, largest_code, quantize_gradient, signed_bits


def rounded_up(fractions: Tensor, codes: Tensor, rng_bits: int, rng_rule: str) -> Tensor:
    """Whether gradients of such a fraction of a step are rounded up; a largest gradient of 1 holds the scale at 1."""
    gradient = torch.cat([torch.ones(1), fractions.flatten()])
    numbers = torch.cat([torch.zeros(1), codes.flatten()])
    rounded = quantize_gradient(gradient, numbers, eta=1.0, gradient_bits=8, rng_bits=rng_bits, rng_rule=rng_rule)
    steps = rounded[1:].view(fractions.shape) * 2**7
    assert ((steps == 0) | (steps == 1)).all()
    return steps == 1


def test_quantize_gradient_equals_the_golden_vectors(golden: Path) -> None:
    with np.load(golden / "quantizers.npz", allow_pickle=False) as file:
        gradient, numbers = torch.from_numpy(file["g"]), torch.from_numpy(file["uniform"])
        keys = [key for key in file.files if key.startswith("grad_")]
        assert keys
        for key in keys:
            eta, rng_bits, gradient_bits = re.fullmatch(r"grad_lr(.+)_rb(\d+)_gb(\d+)", key).groups()
            codes = (numbers * 2 ** (int(rng_bits) - 1)).round()
            ours = quantize_gradient(
                gradient, codes, eta=float(eta), gradient_bits=int(gradient_bits), rng_bits=int(rng_bits),
                rng_rule="original",
            )  # fmt: skip
            assert torch.equal(ours, torch.from_numpy(file[key])), key


@pytest.mark.parametrize("rng_bits", range(1, 25))
def test_unbiased_rounding_goes_up_with_the_probability_of_every_fraction(rng_bits: int) -> None:
    """Of the 2^rng_bits numbers u exactly frac are below frac: up at u = frac - 1, not at u = frac, for every frac (every
    fifth of the millions that more than 22 bits have)."""
    steps = 2**rng_bits
    fractions = torch.arange(1, steps, 5 if rng_bits > 22 else 1, dtype=torch.float32)  # exact up to 2^24
    assert rounded_up(fractions / steps, fractions - 1, rng_bits, "unbiased").all()
    assert not rounded_up(fractions / steps, fractions, rng_bits, "unbiased").any()


@pytest.mark.parametrize("rng_bits", range(1, 10))
def test_unbiased_rounding_has_the_fraction_as_its_mean_over_all_random_numbers(rng_bits: int) -> None:
    """The sum over every u; fractions between two codes are rounded to one, which leaves half a step at most."""
    steps = 2**rng_bits
    fractions = torch.arange(0, 4 * steps, dtype=torch.float32)[:, None] / (4 * steps)
    numbers = torch.arange(steps, dtype=torch.float32).expand(len(fractions), steps)
    mean = rounded_up(fractions.expand_as(numbers), numbers, rng_bits, "unbiased").double().mean(1)
    assert torch.equal(mean, (fractions[:, 0] * steps).round().double() / steps)
    assert (mean - fractions[:, 0]).abs().max() <= 2.0 ** -(rng_bits + 1)


@pytest.mark.parametrize("rng_bits", range(1, 24))
def test_unbiased_rounding_of_a_fraction_next_to_one_is_always_up(rng_bits: int) -> None:
    """Its frac is carried to 2^rng_bits, above every random number."""
    last = torch.tensor([2.0**rng_bits - 1])
    assert rounded_up(torch.tensor([1 - 2.0**-24]), last, rng_bits, "unbiased").all()


@pytest.mark.parametrize("rng_bits", range(1, 10))
def test_original_rounding_goes_up_too_often_by_half_a_random_step(rng_bits: int) -> None:
    """The sum over every integer of the generator, of which (k + 1) >> 1 steps are made; a gradient of next to nothing too."""
    steps = 2 ** (rng_bits - 1)
    fractions = torch.arange(steps, dtype=torch.float32)[:, None] / steps
    numbers = ((torch.arange(2 * steps) + 1) >> 1).float().expand(steps, 2 * steps)
    mean = rounded_up(fractions.clamp(min=1e-9).expand_as(numbers), numbers, rng_bits, "original").double().mean(1)
    assert torch.equal(mean, fractions[:, 0].double() + 2.0**-rng_bits)


@pytest.mark.parametrize("rng_rule", RNG_RULES)
def test_quantize_gradient_leaves_zero_alone(rng_rule: str) -> None:
    gradient, codes = torch.tensor([0.0, 0.0, 1.0]), torch.zeros(3)
    rounded = quantize_gradient(gradient, codes, eta=0.1, gradient_bits=8, rng_bits=16, rng_rule=rng_rule)
    assert rounded[:2].tolist() == [0, 0]
    nothing = quantize_gradient(
        torch.zeros(5), torch.zeros(5), eta=0.1, gradient_bits=8, rng_bits=16, rng_rule=rng_rule
    )
    assert nothing.tolist() == [0] * 5


def test_quantize_gradient_refuses_a_rule_that_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="rng_rule='fair' is not known: original or unbiased"):
        quantize_gradient(torch.ones(1), torch.ones(1), eta=1.0, gradient_bits=8, rng_bits=8, rng_rule="fair")


@pytest.mark.parametrize(("largest", "bits"), [(0, 1), (1, 2), (2, 3), (3, 3), (4, 4), (91, 8), (127, 8), (128, 9)])
def test_signed_bits_are_those_of_the_format_that_holds_the_integer(largest: int, bits: int) -> None:
    assert signed_bits(largest) == bits
    assert largest <= 2 ** (bits - 1) - 1 or bits == 1


def test_largest_code_is_an_integer_of_the_rounded_gradient() -> None:
    assert largest_code(torch.tensor([[0.5, -91.0], [3.0, 0.0]]) / 2**7, 8) == 91
    assert largest_code(torch.tensor([float("nan"), 1.0]), 8) == 0  # training stops at it, and says so
    assert largest_code(torch.empty(0), 8) == 0
