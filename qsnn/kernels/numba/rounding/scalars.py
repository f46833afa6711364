"""Jitted functions of single numbers, which the kernels inline: quantizers, masks, sizes, factors, ranges.

Every float operation is the one of the plain-torch definition, in its order, so that the bits are the same. A ``grid``
is a number format as a tuple: levels (0: full precision, the identity), highest code, whether it is the one-bit format
without a zero; or levels and highest code alone, which leaves the other cases out of the machine code.
"""
# mypy: allow-untyped-defs

import math

import numpy as np
from numba import njit

from qsnn.kernels.numba.runtime.compile import OPTIONS

ZERO, ONE = np.float32(0), np.float32(1)
# Adding and taking away 1.5 * 2^23 rounds |x| < 2^22 half to even, and keeps NaN.
ROUND = np.float32(1.5 * 2**23)
WIDE_ROUND = 1.5 * 2.0**52  # the same of doubles
SQRT_HALF = 0.7071067811865475  # see `qsnn.quantization.errors`
INFINITY = 0x7F800000  # its bits; those of NaN are above
ROOT_2 = 0x3504F3  # the mantissa bits of the largest float below sqrt(2)
WIDE_ROOT_2 = 0x6A09E667F3BCC  # the same of the largest double below it


@njit(**OPTIONS)
def is_full_precision(grid):
    """Whether the format is the identity."""
    if len(grid) == 3:
        return grid[0] == ZERO
    return False


@njit(**OPTIONS)
def code_of(scaled, grid):
    """The code of ``scaled / levels``, still a float, in a format that is not full precision."""
    high, clamped = grid[1], scaled
    if len(grid) == 3:
        signs = -ONE if scaled < ZERO else (ONE if scaled >= ZERO else scaled)
        clamped = signs if grid[2] else scaled
    clamped = -high if clamped < -high else clamped
    clamped = high if clamped > high else clamped
    return (clamped + ROUND) - ROUND


@njit(**OPTIONS)
def quantized(scaled, grid):
    """`quantize` of ``scaled / levels``, likewise."""
    return code_of(scaled, grid) * (ONE / grid[0])


@njit(**OPTIONS)
def state_of(x, grid):
    """`quantize`, in full precision too."""
    on_grid = quantized(x * grid[0], grid)
    return x if is_full_precision(grid) else on_grid


@njit(**OPTIONS)
def in_range(x, grid):
    """`in_range` as 0 or 1."""
    largest = grid[1] / grid[0]
    return ONE if ((x >= -largest) & (x <= largest)) | is_full_precision(grid) else ZERO


@njit(**OPTIONS)
def size_of(x):
    """The bits of |x|. They are ordered as the floats are, with NaN above all, and their maximum can be vectorised."""
    return np.int32(np.float32(x).view(np.int32) & np.int32(0x7FFFFFFF))


@njit(**OPTIONS)
def _extreme_factors(maximum, levels):
    """`factors_of` for any maximum."""
    if maximum == 0.0:
        return levels, ONE
    if not math.isfinite(maximum):
        return np.float32(levels / maximum), ONE
    mantissa, exponent = math.frexp(maximum)
    if mantissa <= SQRT_HALF:
        exponent -= 1
    if exponent == 128:  # the power of two is infinite as a float
        return ZERO, ONE
    if exponent > 0:
        return np.float32(math.ldexp(np.float64(levels), -exponent)), ONE
    return np.float32(2.0**100), np.float32(math.ldexp(np.float64(levels), -exponent - 100))


@njit(**OPTIONS)
def factors_of(size, levels):
    """Two floats whose product is ``levels / shift(max)``; one alone would overflow for the smallest maxima.

    ``size``: the bits of the maximum. The exponent of 1 / shift is minus its exponent, less 1 above sqrt(2).
    """
    exponent = (size >> 23) - 127 + ((size & 0x7FFFFF) > ROOT_2)
    if exponent < -100 or exponent > 100:
        return _extreme_factors(np.float64(np.int32(size).view(np.float32)), levels)
    return np.int32((127 - exponent) << 23).view(np.float32) * levels, ONE


@njit(**OPTIONS)
def wide_quantized(scaled, grid):
    """`quantized` of a double, as a float32."""
    high, clamped = np.float64(grid[1]), scaled
    if len(grid) == 3:
        signs = -1.0 if scaled < 0.0 else (1.0 if scaled >= 0.0 else scaled)
        clamped = signs if grid[2] else scaled
    clamped = -high if clamped < -high else clamped
    clamped = high if clamped > high else clamped
    return np.float32((clamped + WIDE_ROUND) - WIDE_ROUND) * (ONE / grid[0])


@njit(**OPTIONS)
def wide_size(x):
    """`size_of` of a double."""
    return np.float64(x).view(np.int64) & np.int64(0x7FFFFFFFFFFFFFFF)


@njit(**OPTIONS)
def shift_size(size):
    """The bits as a float32 of ``shift(max)`` of doubles, ``size`` being those of the maximum: largest of all is largest here.

    For finite maxima whose power of two a float32 holds; 0 for 0.
    """
    if size == 0:
        return np.int32(0)
    exponent = (size >> 52) - 1023 + ((size & 0xFFFFFFFFFFFFF) > WIDE_ROOT_2)
    return np.int32((exponent + 127) << 23)


@njit(**OPTIONS)
def parts_of(start, stop, width):
    """Two ranges that cover ``start`` to ``stop`` in whole vectors, the second overlapping the first.

    What is left over by the vectors would take longer than they do; computing some elements twice costs nothing.
    """
    middle, last = stop, stop
    if stop - start >= width and (stop - start) % width:
        middle, last = stop - (stop - start) % width, stop - width
    return (np.uint64(start), np.uint64(middle)), (np.uint64(last), np.uint64(stop))
