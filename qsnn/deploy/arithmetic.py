"""Whole numbers in numpy: rounding shifts, clamps, and how many bits a range of integers takes. No floats.

Two kinds of rounding (NUMERICS section 6): behind a multiplier that was rounded itself half up, ``(x + 2^(k-1)) >> k``; behind
a power of two alone half to even, as every quantizer of `qsnn.quantization` has it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Codes = NDArray[np.signedinteger[Any]]
"""Of any signed integer type."""

WORD_BITS = 63
"""Sums of at most so many signed bits are exact here, with one to spare for what rounding adds."""
LONGEST_SHIFT = 62


def whole(x: NDArray[Any]) -> Whole:
    """``x`` as int64. Raises TypeError for an array of anything but integers (or of truth values)."""
    if x.dtype.kind not in "iub":
        raise TypeError(f"an array of {x.dtype} where only integers may be")
    return x.astype(np.int64, copy=False)


def half_up(x: Whole, shift: int) -> Whole:
    """``floor(x 2^-shift + 1/2)``, shift >= 0."""
    return (x + (1 << shift >> 1)) >> shift


def half_even(x: Whole, shift: int) -> Whole:
    """``rint(x 2^-shift)``, exact to the left where ``shift`` is negative."""
    if shift <= 0:
        return x << -shift
    if shift > LONGEST_SHIFT:  # |x| < 2^62: less than a half
        return np.zeros_like(x)
    low, rest, half = x >> shift, x & ((1 << shift) - 1), 1 << (shift - 1)
    return low + ((rest > half) | ((rest == half) & (low & 1 == 1)))


def highest_code(bits: int) -> int:
    """Of a signed format: 2^(bits-1) - 1, and 1 of one bit."""
    return 1 if bits == 1 else 2 ** (bits - 1) - 1


def clamped(x: Whole, bits: int) -> Whole:
    """To +-(2^(bits-1) - 1); of one bit the sign, 0 upward."""
    if bits == 1:
        return np.where(x < 0, -1, 1).astype(np.int64, copy=False)
    highest = highest_code(bits)
    return np.clip(x, -highest, highest)


def rounded_code(x: Whole, shift: int, bits: int) -> Whole:
    """``clamp(rint(x 2^-shift))``; one bit is the sign of x itself."""
    return clamped(x if bits == 1 else half_even(x, shift), bits)


def code_type(low: int, high: int) -> type[np.signedinteger[Any]]:
    """The narrowest signed type that holds low .. high."""
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return kind
    return np.int64


def signed_bits(low: int, high: int) -> int:
    """How many bits of two's complement the integers ``low`` .. ``high`` take: 1 for -1 .. 0, 8 for -128 .. 127."""
    return max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1


def unsigned_bits(high: int) -> int:
    """How many bits 0 .. ``high`` takes, at least 1."""
    return max(1, high.bit_length())
