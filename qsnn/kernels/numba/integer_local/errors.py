"""Jitted errors at the membrane and stochastic rounding of gradients, equal to `qsnn.dynamics.integer_local`."""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.dynamics.integer_local.readout import FRACTION
from qsnn.kernels.numba.local.kernels import BLOCK
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled
from qsnn.quantization.random_stream import GAMMA as _GAMMA
from qsnn.quantization.random_stream import MIX_1 as _MIX_1
from qsnn.quantization.random_stream import MIX_2 as _MIX_2

GAMMA, MIX_1, MIX_2 = np.uint64(_GAMMA), np.uint64(_MIX_1), np.uint64(_MIX_2)
ERROR = "Tuple((float32, float32, float64, float64))"
ONE_ERROR = float(2**FRACTION)


@njit(**OPTIONS)
def _half_even(x, shift):
    """`fixed_point.half_even` for 1 <= shift <= 62: half, less one where the even neighbour lies below, then down."""
    return (x + (np.int64(1) << (shift - 1)) - 1 + ((x >> shift) & 1)) >> shift


@njit(**OPTIONS)
def _gradients(back, u, slope, high, error, out):
    """g of so many places that they stay in the nearest cache, see `readout.membrane_gradient`, in doubles; ``back``: whole
    numbers as floats. Looked up by itself, since no vector instruction does that; the rest is one of vectors."""
    factor, highest, activity, potential = error
    for i in range(back.size):
        out[i] = slope[np.uint32(u[i] + high)]
    for i in range(back.size):
        e = np.rint(back[i] * factor)  # a power of two, so that nothing is lost before the rounding
        e = highest if e > highest else e
        e = -highest if e < -highest else e
        out[i] = (np.float64(e) * ONE_ERROR + activity) * out[i] + potential


@compiled("float64(int64, int64, float32[::1])")
def largest(begin, end, row):
    """max|x| of a part."""
    most = np.float32(0)
    for i in range(begin, end):
        size = abs(row[i])
        most = size if size > most else most
    return most


@compiled(f"float64(int64, int64, float32[::1], int16[::1], float32[::1], int32, {ERROR})")
def largest_gradient(begin, end, back, pooled, slope, high, error):
    """max|g| of a part; ``error``: 2^(eb-1) over the power of two, its highest code, L1 and L2."""
    most, room = 0.0, np.empty(BLOCK)
    for start in range(begin, end, BLOCK):
        stop = min(end, start + BLOCK)
        found = room[: stop - start]
        _gradients(back[start:stop], pooled[start:stop], slope, high, error, found)
        for i in range(found.size):
            size = abs(found[i])
            most = size if size > most else most
    return most


@compiled(f"void(int64, int64, float32[::1], int16[::1], float32[::1], int32, {ERROR}, float64, int16[::1])")
def membrane_error(begin, end, back, pooled, slope, high, error, factor, codes):
    """e_U of a part, g times ``factor``, a power of two."""
    limit, room = np.float64(error[1]), np.empty(BLOCK)
    for start in range(begin, end, BLOCK):
        stop = min(end, start + BLOCK)
        found, out = room[: stop - start], codes[start:stop]
        _gradients(back[start:stop], pooled[start:stop], slope, high, error, found)
        for i in range(found.size):
            code = np.rint(found[i] * factor)
            code = limit if code > limit else code
            out[i] = np.int16(-limit if code < -limit else code)


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
