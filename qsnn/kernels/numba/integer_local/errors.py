"""Jitted errors at the membrane and stochastic rounding of gradients, equal to `qsnn.dynamics.integer_local`."""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled
from qsnn.quantization.random_stream import GAMMA as _GAMMA
from qsnn.quantization.random_stream import MIX_1 as _MIX_1
from qsnn.quantization.random_stream import MIX_2 as _MIX_2

GAMMA, MIX_1, MIX_2 = np.uint64(_GAMMA), np.uint64(_MIX_1), np.uint64(_MIX_2)
ERROR = "Tuple((float32, float32, int64, int64, int64))"


@njit(**OPTIONS)
def _half_even(x, shift):
    """`fixed_point.half_even` for 1 <= shift <= 62: half, less one where the even neighbour lies below, then down."""
    return (x + (np.int64(1) << (shift - 1)) - 1 + ((x >> shift) & 1)) >> shift


@njit(**OPTIONS)
def _code(x, shift, high):
    """`fixed_point.rounded_code` of more than one bit."""
    code = _half_even(x, shift) if shift > 0 else x << -shift
    code = high if code > high else code
    return -high if code < -high else code


@njit(**OPTIONS)
def _gradient(back, u, slope, high, error):
    """g of one place, see `readout.membrane_gradient`; ``back`` is a whole number as a float."""
    factor, highest, fraction, activity, potential = error
    e = np.rint(back * factor)  # a power of two, so that nothing is lost before the rounding
    e = highest if e > highest else e
    e = -highest if e < -highest else e
    return ((np.int64(e) << fraction) + activity) * slope[u + high] + potential


@compiled("float64(int64, int64, float32[::1])")
def largest(begin, end, row):
    """max|x| of a part."""
    most = np.float32(0)
    for i in range(begin, end):
        most = max(most, abs(row[i]))
    return most


@compiled(f"int64(int64, int64, float32[::1], int16[::1], int64[::1], int64, {ERROR})")
def largest_gradient(begin, end, back, pooled, slope, high, error):
    """max|g| of a part; ``error``: 2^(eb-1) over the power of two, its highest code, `FRACTION`, L1 and L2."""
    most = np.int64(0)
    for i in range(begin, end):
        most = max(most, abs(_gradient(back[i], pooled[i], slope, high, error)))
    return most


@compiled(f"void(int64, int64, float32[::1], int16[::1], int64[::1], int64, {ERROR}, int64, int16[::1])")
def membrane_error(begin, end, back, pooled, slope, high, error, shift, codes):
    """e_U of a part, ``shift`` by as much."""
    limit = np.int64(error[1])
    for i in range(begin, end):
        codes[i] = np.int16(_code(_gradient(back[i], pooled[i], slope, high, error), shift, limit))


@compiled("int64(int64, int64, int64[::1])")
def largest_size(begin, end, row):
    """max|x| of a part."""
    most = np.int64(0)
    for i in range(begin, end):
        most = max(most, abs(row[i]))
    return most


@compiled("int64(int64, int64, int64[::1], uint64, int64, int64, float32, float32[::1])")
def round_gradient(begin, end, gradient, first, rng_bits, shift, unit, out):
    """`rounding.gradient_codes` times ``unit`` with number n of the stream for element n; the largest integer.

    ``first``: the stream's first number before it is mixed.
    """
    down, below, most = np.uint64(64 - rng_bits), (np.int64(1) << rng_bits) - 1, np.int64(0)
    for i in range(begin, end):
        z = first + np.uint64(i) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * MIX_1
        z = (z ^ (z >> np.uint64(27))) * MIX_2
        z = (z ^ (z >> np.uint64(31))) >> down
        size = abs(gradient[i])
        scaled = _half_even(size, shift) if shift > 0 else size << -shift
        code = (scaled >> rng_bits) + ((scaled & below) > np.int64(z))
        most = max(most, code)
        out[i] = np.float32(code if gradient[i] >= 0 else -code) * unit
    return most
