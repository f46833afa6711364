"""Whole-number arithmetic: rounding shifts, multipliers, and the power of two that errors are divided by.

Tensors are int64 here; what stores them chooses a narrower type (`code_type`).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.errors import ConfigError

MULTIPLIER_BITS = 16
LONGEST_SHIFT = 40
LARGEST_CONSTANT = 2**53  # of which a double still knows every integer


class Ratio(NamedTuple):
    """``multiplier * 2^-shift``, which takes codes of one grid to another."""

    multiplier: int
    shift: int


def ratio(value: float, at_least: int = 0) -> Ratio:
    """The nearest `Ratio` with a multiplier of 16 bits; of fewer where ``value`` is below 2^-24, of more where the shift
    would fall below ``at_least``. Raises ConfigError for a value without bounds."""
    shift = min(LONGEST_SHIFT, max(at_least, MULTIPLIER_BITS - math.frexp(value)[1]))
    return Ratio(constant(value * 2.0**shift), shift)


def constant(value: float) -> int:
    """``rint(value)``. Raises ConfigError above 2^53: a scale or time constant is out of all proportion then."""
    if not abs(value) < LARGEST_CONSTANT:
        raise ConfigError(
            f"quantization.arithmetic=integer: a constant of {value:g} takes more than 53 bits; look at neuron.trace_cap, "
            "trainer.weight_mult, loss.l1 and loss.l2"
        )
    return round(value)


def code_type(bits: int, signed: bool = True) -> torch.dtype:
    """The narrowest of int16 and int32 that holds codes of ``bits``."""
    return torch.int16 if bits <= (16 if signed else 15) else torch.int32


def half_up(x: Tensor, shift: int) -> Tensor:
    """``floor(x 2^-shift + 1/2)``, shift >= 0."""
    return (x + (1 << shift >> 1)) >> shift


def half_even(x: Tensor, shift: int) -> Tensor:
    """``rint(x 2^-shift)`` of |x| < 2^61, exact to the left where ``shift`` is negative."""
    if shift <= 0:
        return x << -shift
    shift = min(shift, 62)  # from there on all is 0
    low, rest, half = x >> shift, x & ((1 << shift) - 1), 1 << (shift - 1)
    return low + ((rest > half) | ((rest == half) & (low & 1 == 1))).to(x.dtype)


def signed_code(x: Tensor, bits: int) -> Tensor:
    """Clamp to +-(2^(bits-1) - 1); for one bit the sign, 0 upward."""
    if bits == 1:
        return torch.where(x < 0, -1, 1).to(x.dtype)
    highest = highest_code(bits)
    return x.clamp(-highest, highest)


def rounded_code(x: Tensor, shift: int, bits: int) -> Tensor:
    """``code(rint(x 2^-shift))``. One bit is the sign of x itself, as in `qsnn.quantization.formats`."""
    return signed_code(x if bits == 1 else half_even(x, shift), bits)


def highest_code(bits: int) -> int:
    """Of a signed format."""
    return 1 if bits == 1 else 2 ** (bits - 1) - 1


def point(bits: int) -> int:
    """A signed code stands for ``code * 2^-point``."""
    return bits - 1


def nearest_power(largest: int) -> int:
    """``rint(log2 m)`` of a positive integer, 0 of 0: one more than floor(log2 m) if 2 m^2 exceeds the power of four above."""
    if largest == 0:
        return 0
    bits = largest.bit_length()
    return bits if 2 * largest * largest > 4**bits else bits - 1


def error_codes(x: Tensor, largest: int, error_bits: int) -> Tensor:
    """E(x): `quantize_error` in codes, for the ``largest`` |x| of the whole tensor."""
    return rounded_code(x, nearest_power(largest) - point(error_bits), error_bits)
