"""Stochastic rounding of weight gradients."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from qsnn.quantization import quantize_gradient, random_stream, uniform_codes


def test_quantize_gradient_equals_the_golden_vectors(golden: Path) -> None:
    with np.load(golden / "quantizers.npz", allow_pickle=False) as file:
        gradient, numbers = torch.from_numpy(file["g"]), torch.from_numpy(file["uniform"])
        keys = [key for key in file.files if key.startswith("grad_")]
        assert keys
        for key in keys:
            eta, rng_bits, gradient_bits = re.fullmatch(r"grad_lr(.+)_rb(\d+)_gb(\d+)", key).groups()
            codes = (numbers * 2 ** (int(rng_bits) - 1)).round()
            ours = quantize_gradient(
                gradient, codes, eta=float(eta), gradient_bits=int(gradient_bits), rng_bits=int(rng_bits)
            )
            assert torch.equal(ours, torch.from_numpy(file[key])), key


@pytest.mark.parametrize("rng_bits", [4, 8, 16, 24])
def test_quantize_gradient_is_unbiased_on_the_mean(rng_bits: int) -> None:
    gradient = torch.cat([torch.ones(1), torch.full((200_000,), 0.3)])
    codes, _ = uniform_codes(random_stream(0, "g"), gradient.shape, rng_bits)
    rounded = quantize_gradient(gradient, codes, eta=1.0, gradient_bits=8, rng_bits=rng_bits)[1:] * 2**7
    assert set(rounded.unique().tolist()) == {0.0, 1.0}
    # [frac >= u] counts a tie as up: half a step of the generator too often
    expected = round(0.3 * 2 ** (rng_bits - 1)) / 2 ** (rng_bits - 1) + 2.0**-rng_bits
    assert abs(rounded.mean().item() - expected) < 0.005


def test_quantize_gradient_leaves_zero_alone() -> None:
    codes = torch.zeros(3)
    rounded = quantize_gradient(torch.tensor([0.0, 0.0, 1.0]), codes, eta=0.1, gradient_bits=8, rng_bits=16)
    assert rounded[:2].tolist() == [0, 0]


def test_quantize_gradient_of_zeros_is_zero() -> None:
    rounded = quantize_gradient(torch.zeros(5), torch.zeros(5), eta=0.1, gradient_bits=8, rng_bits=16)
    assert rounded.tolist() == [0] * 5
