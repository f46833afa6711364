"""Jitted recurrences and quantizers. Arrays are float32; (T, M) with M = B*N neurons, time outer, neurons inner.

Every float operation is the one of the plain-torch definition, in its order, so that the bits are the same. A ``grid``
is a number format as a tuple: levels (0: full precision, the identity), highest code, whether it is the one-bit format
without a zero. Kernels work on columns or elements ``start`` to ``stop``.

Two habits keep the inner loops fast. What runs for every time step is a function of its own with unsigned bounds: an
index that might be negative keeps LLVM from vectorising. And it takes whole arrays, not slices: every slice costs two
atomic operations for its reference count.
"""
# mypy: allow-untyped-defs

import math

import numpy as np
from numba import njit

from qsnn.kernels.numba_compile import OPTIONS, compiled

ZERO, ONE = np.float32(0), np.float32(1)
# Adding and taking away 1.5 * 2^23 rounds |x| < 2^22 half to even, and keeps NaN.
ROUND = np.float32(1.5 * 2**23)
SQRT_HALF = 0.7071067811865475  # see `qsnn.quantization.errors`
ROOT_2 = 0x3504F3  # the mantissa bits of the largest float below sqrt(2)
GRID = "Tuple((float32, float32, b1))"
ROW, MATRIX = "float32[::1]", "float32[:,::1]"


@njit(**OPTIONS)
def _code(scaled, grid):
    """The code of ``scaled / levels``, still a float, in a format that is not full precision."""
    _, high, sign = grid
    signs = -ONE if scaled < ZERO else (ONE if scaled >= ZERO else scaled)
    clamped = signs if sign else scaled
    clamped = -high if clamped < -high else clamped
    clamped = high if clamped > high else clamped
    return (clamped + ROUND) - ROUND


@njit(**OPTIONS)
def _quantize(scaled, grid):
    """`quantize` of ``scaled / levels``, likewise."""
    return _code(scaled, grid) * (ONE / grid[0])


@njit(**OPTIONS)
def _state(x, grid):
    """`quantize`, in full precision too."""
    quantized = _quantize(x * grid[0], grid)
    return x if grid[0] == ZERO else quantized


@njit(**OPTIONS)
def _in_range(x, grid):
    """`in_range` as 0 or 1."""
    largest = grid[1] / grid[0]
    return ONE if ((x >= -largest) & (x <= largest)) | (grid[0] == ZERO) else ZERO


@njit(**OPTIONS)
def _size(x):
    """The bits of |x|. They are ordered as the floats are, with NaN above all, and their maximum can be vectorised."""
    return np.int32(np.float32(x).view(np.int32) & np.int32(0x7FFFFFFF))


@njit(**OPTIONS)
def _extreme_factors(maximum, levels):
    """`_factors` for any maximum."""
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
def _factors(size, levels):
    """Two floats whose product is ``levels / shift(max)``; one alone would overflow for the smallest maxima.

    ``size``: the bits of the maximum. The exponent of 1 / shift is minus its exponent, less 1 above sqrt(2).
    """
    exponent = (size >> 23) - 127 + ((size & 0x7FFFFF) > ROOT_2)
    if exponent < -100 or exponent > 100:
        return _extreme_factors(np.float64(np.int32(size).view(np.float32)), levels)
    return np.int32((127 - exponent) << 23).view(np.float32) * levels, ONE


@compiled("UniTuple(float32, 2)(int32, float32)")
def error_factors(size, levels):
    """`_factors` for Python."""
    return _factors(size, levels)


@compiled(f"int32(int64, int64, {ROW})")
def largest_size(start, stop, x):
    """The bits of max|x|; those of a NaN if there is one."""
    largest, x = np.int32(0), x[start:stop]
    for i in range(x.size):
        largest = max(largest, _size(x[i]))
    return largest


@njit(**OPTIONS)
def _parts(start, stop, width):
    """Two ranges that cover ``start`` to ``stop`` in whole vectors, the second overlapping the first.

    What is left over by the vectors would take longer than they do; computing some elements twice costs nothing.
    """
    middle, last = stop, stop
    if stop - start >= width and (stop - start) % width:
        middle, last = stop - (stop - start) % width, stop - width
    return (np.uint64(start), np.uint64(middle)), (np.uint64(last), np.uint64(stop))


@njit(**OPTIONS)
def _quantize_row(r, low, high, x, factors, grid, multiplier, out, codes):
    strays = np.int32(0)
    for i in range(low, high):
        code = _code(x[r, i] * factors[0] * factors[1], grid)
        strays = np.int32(strays | np.int32(code != code))
        codes[r, i] = np.int32(code)
        out[r, i] = code * (ONE / grid[0]) * multiplier
    return strays


_SCALED = f"b1(int64, int64, {MATRIX}, UniTuple(float32, 2), {GRID}, float32, {MATRIX}, {{0}}[:,::1])"


@compiled(_SCALED.format("int8"), _SCALED.format("int16"))
def quantize_scaled(start, stop, x, factors, grid, multiplier, out, codes):
    """Rows of ``out = quantize(x * factors / levels) * multiplier`` and its ``codes``; whether it is free of NaN."""
    strays = 0
    for r in range(start, stop):
        for low, high in _parts(0, x.shape[1], 64):
            strays |= _quantize_row(r, low, high, x, factors, grid, multiplier, out, codes)
    return strays == 0


@compiled(f"void(int64, int64, {ROW}, UniTuple(float32, 2), float32, float32, float32, uint64, uint64, {ROW})")
def round_stochastically(start, stop, gradient, factors, eta, steps, unit, first, rng_bits, out):
    """`quantize_gradient` with number n of SplitMix64 for element n. ``steps`` per one, ``unit`` of the result."""
    first += np.uint64(start) * np.uint64(0x9E3779B97F4A7C15)
    down = np.uint64(64) - rng_bits
    gradient, out = gradient[start:stop], out[start:stop]
    for i in range(gradient.size):
        z = first + np.uint64(i) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> np.uint64(31))) >> down
        code = np.float32(np.int64((z + np.uint64(1)) >> np.uint64(1)))
        scaled = eta * (gradient[i] * factors[0] * factors[1])
        size = abs(scaled)
        whole = np.floor(size)
        up = ONE if np.rint((size - whole) * steps) >= code else ZERO
        direction = ONE if scaled > ZERO else (-ONE if scaled < ZERO else scaled)
        out[i] = direction * (whole + up) * unit


@njit(**OPTIONS)
def _forward_step(t, low, high, current, syn, mem, decays, theta, syn_grid, mem_grid, out):
    """Neurons ``low`` to ``high`` in step ``t`` of `lif_forward`; ``syn`` and ``mem`` are the states before it."""
    for n in range(low, high):
        spike = ONE if _state(mem[n] - theta, mem_grid) > ZERO else ZERO
        new_syn = _state(decays[0, n] * syn[n] + current[t, n], syn_grid)
        new_mem = _state(decays[1, n] * mem[n] + syn[n] - spike, mem_grid)
        out[0, t, n], out[1, t, n], out[2, t, n] = spike, new_syn, new_mem


@compiled(f"void(int64, int64, {MATRIX}, {MATRIX}, {MATRIX}, float32, {GRID}, {GRID}, float32[:,:,::1])")
def lif_forward(start, stop, current, initial, decays, theta, syn_grid, mem_grid, out):
    """`lif_sequence`: ``initial`` and ``decays`` (2, M), synapse then membrane; ``out`` (3, T, M) as `LIFActivity`."""
    syn, mem = initial[0], initial[1]
    for t in range(current.shape[0]):
        for low, high in _parts(start, stop, 16):
            _forward_step(t, low, high, current, syn, mem, decays, theta, syn_grid, mem_grid, out)
        syn, mem = out[1, t], out[2, t]


@njit(**OPTIONS)
def _threshold_step(t, low, high, grad_spikes, mem, theta, slope, grid, grad):
    """g_s / (slope * |v_thr| + 1)^2 of time step ``t`` into ``grad``; returns the bits of its maximum."""
    largest = np.int32(0)
    for n in range(low, high):
        root = slope * abs(_state(mem[n] - theta, grid)) + ONE
        gradient = grad_spikes[t, n] / (root * root)
        grad[n] = gradient
        largest = max(largest, _size(gradient))
    return largest


@njit(**OPTIONS)
def _error(grad, factors, grid, mask):
    """E: quantized error and mask; the identity in full precision."""
    quantized = _quantize(grad * factors[0] * factors[1], grid) * mask
    return grad if grid[0] == ZERO else quantized


@njit(**OPTIONS)
def _backward_step(
    t, low, high, syn, mem, spikes, current, decays, theta, grids, factors, grad, grad_thr, new_grad, out
):
    """Step ``t`` of `lif_backward`: ``grad`` and ``new_grad`` (2, M) before and after it; returns the maxima's bits."""
    syn_grid, mem_grid, err_grid = grids
    max_syn, max_mem = np.int32(0), np.int32(0)
    for n in range(low, high):
        mask_thr = _in_range(mem[n] - theta, mem_grid)
        mask_mem = _in_range(decays[1, n] * mem[n] + syn[n] - spikes[t, n], mem_grid)
        mask_syn = _in_range(decays[0, n] * syn[n] + current[t, n], syn_grid)
        e_syn = _error(grad[0, n], factors[0], err_grid, mask_syn)
        e_mem = _error(grad[1, n], factors[1], err_grid, mask_mem)
        e_thr = _error(grad_thr[n], factors[2], err_grid, mask_thr)
        new_syn = decays[0, n] * e_syn + e_mem
        new_mem = decays[1, n] * e_mem + e_thr
        new_grad[0, n], new_grad[1, n], out[t, n] = new_syn, new_mem, e_syn
        max_syn, max_mem = max(max_syn, _size(new_syn)), max(max_mem, _size(new_mem))
    return max_syn, max_mem


@compiled(
    f"void({MATRIX}, {MATRIX}, {MATRIX}, {MATRIX}, {MATRIX}, {MATRIX}, {MATRIX}, float32, float32,"
    f" UniTuple({GRID}, 3), {MATRIX})"
)
def lif_backward(grad_spikes, current, spikes, synapse, membrane, initial, decays, theta, slope, grids, out):
    """`lif_sequence_backward`, from the last step to the first: the maxima of a step need all its neurons.

    ``grids``: of synapse, membrane and errors.
    """
    size, levels = out.shape[1], grids[2][0]
    old, new, thr = np.zeros((2, size), np.float32), np.empty((2, size), np.float32), np.empty(size, np.float32)
    max_syn, max_mem = np.int32(0), np.int32(0)
    for t in range(out.shape[0] - 1, -1, -1):
        syn, mem = initial[0], initial[1]
        if t > 0:
            syn, mem = synapse[t - 1], membrane[t - 1]
        max_thr = np.int32(0)
        for low, high in _parts(0, size, 64):
            part = _threshold_step(t, low, high, grad_spikes, mem, theta, slope, grids[1], thr)
            max_thr = max(max_thr, part)
        factors = (_factors(max_syn, levels), _factors(max_mem, levels), _factors(max_thr, levels))
        max_syn, max_mem = np.int32(0), np.int32(0)
        for low, high in _parts(0, size, 32):
            part_syn, part_mem = _backward_step(
                t, low, high, syn, mem, spikes, current, decays, theta, grids, factors, old, thr, new, out
            )
            max_syn, max_mem = max(max_syn, part_syn), max(max_mem, part_mem)
        old, new = new, old


@njit(**OPTIONS)
def _difference_step(t, low, high, spikes, target, decay, traces, new_traces, out):
    for n in range(low, high):
        of_spikes = decay * traces[0, n] + spikes[t, n]
        of_target = decay * traces[1, n] + target[t, n]
        new_traces[0, n], new_traces[1, n], out[t, n] = of_spikes, of_target, of_spikes - of_target


@compiled(f"void(int64, int64, {MATRIX}, {MATRIX}, float32, {MATRIX})")
def filtered_difference(start, stop, spikes, target, decay, out):
    """k*s - k*y, (T, M)."""
    old, new = np.zeros((2, out.shape[1]), np.float32), np.empty((2, out.shape[1]), np.float32)
    for t in range(out.shape[0]):
        for low, high in _parts(start, stop, 16):
            _difference_step(t, low, high, spikes, target, decay, old, new, out)
        old, new = new, old


@njit(**OPTIONS)
def _add_squares(x, sums):
    for i in range(x.size):
        sums[i] += np.float64(x[i]) * np.float64(x[i])


@compiled(f"void(int64, int64, {ROW}, int64, float64[::1])")
def sums_of_squares(start, stop, x, chunk, out):
    """``out[c]`` = the sum of x^2 over chunk number c, in double."""
    for c in range(start, stop):
        sums = np.zeros(1024)
        for i in range(c * chunk, min((c + 1) * chunk, x.size), sums.size):
            _add_squares(x[i : min(i + sums.size, x.size)], sums)
        out[c] = sums.sum()


@njit(**OPTIONS)
def _filter_step(t, low, high, difference, divisor, decay, trace, out):
    for n in range(low, high):
        out[t, n] = decay * trace[n] + difference[t, n] / divisor


@compiled(f"void(int64, int64, {MATRIX}, float32, float32, {MATRIX})")
def filter_back(start, stop, difference, divisor, decay, out):
    """The exponential filter of ``difference / divisor``, run from the last step to the first."""
    trace = np.zeros(out.shape[1], np.float32)
    for t in range(out.shape[0] - 1, -1, -1):
        for low, high in _parts(start, stop, 64):
            _filter_step(t, low, high, difference, divisor, decay, trace, out)
        trace = out[t]
