"""Stochastic rounding of weight gradients that are sums of products of codes. Source: [WAGE] equations 10, 11."""

import math

import torch
from torch import Tensor

from qsnn.dynamics.integer_local.fixed_point import half_even, nearest_power


def eta_exponent(eta: float) -> int:
    """log2 eta. Raises ValueError if it is no power of two."""
    mantissa, exponent = math.frexp(eta)
    if mantissa != 0.5:
        raise ValueError(f"eta={eta} is no power of two")
    return exponent - 1


def gradient_codes(gradient: Tensor, random: Tensor, eta: float, rng_bits: int) -> Tensor:
    """The integers that the stored weights move by, int64, of the shape of ``gradient``, whole numbers.

        t = rint(|g| eta 2^(rng_bits - s))     n = t >> rng_bits, and 1 more if t mod 2^rng_bits > random

    ``random``: the generator's integers, uniform over 0 .. 2^rng_bits - 1; s: `nearest_power` of max|g|. The same as
    `qsnn.quantization.quantize_gradient` by the unbiased rule, wherever floats hold g exactly.
    """
    size = gradient.abs()
    power = nearest_power(int(size.max())) if size.numel() else 0
    scaled = half_even(size, power - eta_exponent(eta) - rng_bits)
    up = (scaled & ((1 << rng_bits) - 1)) > random.to(torch.int64)
    return gradient.sign() * ((scaled >> rng_bits) + up.to(torch.int64))
