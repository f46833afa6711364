"""Quantized weight gradients with stochastic rounding. Source: [WAGE] equations 10 and 11."""

import math

from torch import Tensor

from qsnn.quantization.errors import shift
from qsnn.quantization.random_stream import check_rng_rule


def quantize_gradient(
    gradient: Tensor, uniform_codes: Tensor, *, eta: float, gradient_bits: int, rng_bits: int, rng_rule: str
) -> Tensor:
    """Round ``eta * g / shift(max|g|)`` up or down at random to a multiple of 2^-(gradient_bits-1).

        n = eta * g / shift(max|g|)      i = floor(|n|)      G = sign(n) * (i + up) * 2^-(gradient_bits-1)
        original:  frac = rint((|n| - i) * 2^(rng_bits-1))   up = [frac >= u],  u in 0 .. 2^(rng_bits-1)
        unbiased:  frac = rint((|n| - i) * 2^rng_bits)       up = [frac > u],   u in 0 .. 2^rng_bits - 1

    u is ``uniform_codes``, as `random_stream.uniform_codes` draws it by the same rule: integers of the gradient's shape, any.
    The maximum is over the whole tensor. A gradient of 0 gives 0. ``original`` rounds up with a probability that is
    2^-rng_bits too large; ``unbiased`` with the probability of the rounded fraction, frac / 2^rng_bits exactly.
    """
    check_rng_rule(rng_rule)
    scaled = eta * (gradient / shift(gradient.abs().max()))
    size = scaled.abs()
    whole = size.floor()
    if rng_rule == "original":
        up = ((size - whole) * 2 ** (rng_bits - 1)).round() >= uniform_codes
    else:
        up = ((size - whole) * 2**rng_bits).round() > uniform_codes
    return scaled.sign() * (whole + up.to(scaled.dtype)) / 2 ** (gradient_bits - 1)


def largest_code(rounded: Tensor, gradient_bits: int) -> int:
    """``max|G| * 2^(gradient_bits-1)``, the largest integer of a rounded gradient of any shape; 0 if it is not finite."""
    largest = rounded.abs().max().item() if rounded.numel() else 0.0
    return round(largest * 2 ** (gradient_bits - 1)) if math.isfinite(largest) else 0


def signed_bits(largest: int) -> int:
    """How many bits the integers -``largest`` .. ``largest`` need: 1 for 0 alone, 2 for -1 .. 1, 8 for -127 .. 127."""
    return largest.bit_length() + 1
