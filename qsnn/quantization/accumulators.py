"""Bounds of sums of codes: how many signed bits a quantity needs, from formats alone, and what holds it without rounding."""

import math
from typing import NamedTuple

from qsnn.quantization.gradients import signed_bits

FLOAT32_CODES, FLOAT64_CODES = 2**24, 2**53
"""Up to here float32 and float64 hold every integer."""


class Bound(NamedTuple):
    """A quantity is ``code * 2^-exponent`` with ``|code| <= largest``."""

    largest: int
    exponent: int

    @property
    def bits(self) -> int:
        """Signed bits of the code."""
        return signed_bits(self.largest)

    def at(self, exponent: int) -> "Bound":
        """The same on a finer grid."""
        return Bound(self.largest << (exponent - self.exponent), exponent)

    def plus(self, other: "Bound") -> "Bound":
        """Of the sum of both, on the finer of the two grids."""
        exponent = max(self.exponent, other.exponent)
        return Bound(self.at(exponent).largest + other.at(exponent).largest, exponent)

    def times(self, other: "Bound") -> "Bound":
        """Of the product of both."""
        return Bound(self.largest * other.largest, self.exponent + other.exponent)

    def summed(self, count: int) -> "Bound":
        """Of ``count`` of them."""
        return Bound(self.largest * count, self.exponent)


def of_format(bits: int, full_scale: float = 1.0) -> Bound:
    """Values on the grid of symmetric(bits, full_scale)."""
    return Bound(max(1, 2 ** (bits - 1) - 1), bits - 1 - round(math.log2(full_scale)))


def of_factor(factor: float) -> Bound:
    """A factor m / 2^k."""
    numerator, denominator = factor.as_integer_ratio()
    return Bound(abs(numerator), denominator.bit_length() - 1)


def of_rounded_gradient(eta: float) -> int:
    """Largest integer of a gradient that was rounded with ``eta``: ``eta * |g| / shift(max|g|)`` is at most sqrt(2) * eta."""
    return math.isqrt(math.ceil(2 * eta * eta)) + 1
