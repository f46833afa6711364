"""Jitted recurrences of local learning, equal to `qsnn.dynamics.traces`, `refractory_lif` and `local_readout`.

Maps lie in memory as (B, H, W, C), so that the inner loops run over channels; a row is one sample's map. A format comes
as (levels, highest code): levels of 0 is full precision, levels below 0 the format of one bit, without a zero.
Expressions keep the order of the definitions, as float32 rounds after each step; one simple loop for each of them,
over rows that stay in the cache, is what the compiler turns into vector instructions.
"""
# mypy: allow-untyped-defs

import math

import numpy as np
from numba import njit

from qsnn.kernels.numba_compile import OPTIONS, compiled
from qsnn.quantization.errors import SQRT_HALF

ZERO, ONE = np.float32(0), np.float32(1)
POTENTIAL = np.float32(8)
BLOCK = 2048
ROW, ROWS, MAPS, FORMAT = "float32[::1]", "float32[:, ::1]", "float32[:, :, :, ::1]", "UniTuple(float32, 2)"


@njit(**OPTIONS)
def _quantize_unsigned(row, scale, levels, highest):
    """``scale * quantize_unsigned(x / scale)`` in place."""
    if levels == ZERO:
        return
    for i in range(row.size):
        code = row[i] / scale * levels
        code = highest if code > highest else code
        code = ZERO if code < ZERO else code
        row[i] = scale * (np.rint(code) / levels)


@njit(**OPTIONS)
def _quantize_signed(row, scale, levels, highest):
    """``scale * rint(clamp(x / scale * levels)) / levels`` in place; for one bit the sign times ``scale``."""
    if levels == ZERO:
        return
    if levels < ZERO:
        for i in range(row.size):
            x = row[i]
            row[i] = -scale if x < ZERO else (scale if x >= ZERO else x)
        return
    for i in range(row.size):
        code = row[i] / scale * levels
        code = highest if code > highest else code
        code = -highest if code < -highest else code
        row[i] = np.rint(code) * scale / levels


@compiled(f"void({ROWS}, {ROWS}, {ROWS}, {ROW}, {ROW}, {ROW}, {ROW}, {FORMAT}, {FORMAT}, float32, float32)")
def trace_step(spikes, membrane, synapse, alpha, a, beta, b, p_format, q_format, p_scale, q_scale):
    """`traces.trace_step` in place, over (B, H*W*C)."""
    for batch in range(spikes.shape[0]):
        x, p, q = spikes[batch], membrane[batch], synapse[batch]
        for i in range(x.size):
            p[i] = alpha[i] * p[i] + a[i] * q[i]
            q[i] = beta[i] * q[i] + b[i] * x[i]
        _quantize_unsigned(p, p_scale, p_format[0], p_format[1])
        _quantize_unsigned(q, q_scale, q_format[0], q_format[1])


@njit(**OPTIONS)
def _membrane_block(u, r, sums, decay, r_scale, r_format, u_format, scale):
    """`membrane_step` of so many neurons that they stay in the nearest cache from loop to loop."""
    num_spikes = 0
    _quantize_unsigned(r, r_scale, r_format[0], r_format[1])
    for i in range(u.size):
        r[i] = decay * r[i]
        u[i] = u[i] / scale - r[i]
    _quantize_signed(u, POTENTIAL, u_format[0], u_format[1])
    for i in range(u.size):
        spike = u[i] >= ZERO
        num_spikes += spike
        r[i] += ONE if spike else ZERO
    for i in range(u.size):
        sums[i] += u[i]
    return num_spikes


@compiled(f"int64({ROWS}, {ROWS}, float64[::1], float32, float32, {FORMAT}, {FORMAT}, float32)")
def membrane_step(membrane, refractory, sums, decay, r_scale, r_format, u_format, scale):
    """`refractory_lif.membrane_step` without the pooling, in place: ``membrane`` holds the drive at first, (B, H*W*C).

    Adds U to ``sums`` and returns the number of spikes.
    """
    num_spikes = 0
    for batch in range(membrane.shape[0]):
        u, r = membrane[batch], refractory[batch]
        for start in range(0, u.size, BLOCK):
            num_spikes += _membrane_block(
                u[start : start + BLOCK], r[start : start + BLOCK], sums[start : start + BLOCK],
                decay, r_scale, r_format, u_format, scale,
            )  # fmt: skip
    return num_spikes


@njit(**OPTIONS)
def _larger(x, best):
    """Whether max_pool2d moves on to ``x``: a NaN wins."""
    return (x > best) | (x != x)


@njit(**OPTIONS)
def _pool_pairs(top, bottom, first, width, pooled, winner):
    """The windows of side 2 over two rows (W, C) of a map, in one pass over the channels."""
    for w in range(pooled.shape[0]):
        for c in range(pooled.shape[1]):
            best, where = top[2 * w, c], np.int32(first + 2 * w)
            for x, place in (
                (top[2 * w + 1, c], np.int32(first + 2 * w + 1)),
                (bottom[2 * w, c], np.int32(first + 2 * w + width)),
                (bottom[2 * w + 1, c], np.int32(first + 2 * w + width + 1)),
            ):
                larger = _larger(x, best)
                best = x if larger else best
                where = place if larger else where
            pooled[w, c] = best
            winner[w, c] = where


@njit(**OPTIONS)
def _pool_place(row, place, pooled, winner):
    """One place of a window, over its channels."""
    for c in range(pooled.size):
        larger = _larger(row[c], pooled[c])
        pooled[c] = row[c] if larger else pooled[c]
        winner[c] = place if larger else winner[c]


@compiled(f"void({MAPS}, {MAPS}, int32[:, :, :, ::1], int64)")
def pool(membrane, pooled, winner, side):
    """The first largest element of each window, rows before columns, as torch's max_pool2d finds it."""
    width = membrane.shape[2]
    for b in range(pooled.shape[0]):
        for h in range(pooled.shape[1]):
            top = h * side
            if side == 2:
                _pool_pairs(membrane[b, top], membrane[b, top + 1], top * width, width, pooled[b, h], winner[b, h])
                continue
            for w in range(pooled.shape[2]):
                best, where = pooled[b, h, w], winner[b, h, w]
                best[:] = membrane[b, top, w * side]
                where[:] = top * width + w * side
                for n in range(1, side * side):
                    row, column = top + n // side, w * side + n % side
                    _pool_place(membrane[b, row, column], np.int32(row * width + column), best, where)


@compiled(f"void({ROWS}, {ROWS}, {ROWS}, {ROWS}, float64[::1], {FORMAT})")
def activate(pooled, value, spikes, feature, sums, fmt):
    """`local_readout.activate` of the sigmoid ``value``, over (B, F). Adds z' to ``sums``."""
    for batch in range(pooled.shape[0]):
        u, z, s, f = pooled[batch], value[batch], spikes[batch], feature[batch]
        for i in range(u.size):
            s[i] = ONE if u[i] >= ZERO else ZERO
            f[i] = z[i]
        _quantize_unsigned(f, ONE, fmt[0], fmt[1])
        for i in range(u.size):
            sums[i] += z[i]


@njit(**OPTIONS)
def _largest(row):
    """max|x|, NaN if there is one: the bits of sizes order like integers, and the highest are those of NaN."""
    bits, largest = row.view(np.int32), np.zeros(1, np.int32)
    size = np.int32(0)
    for i in range(bits.size):
        size = max(size, bits[i] & np.int32(0x7FFFFFFF))
    largest[0] = size
    return largest.view(np.float32)[0]


@njit(**OPTIONS)
def _shift(row):
    """`quantization.shift` of max|x|, from its exponent and mantissa; 1 for 0; NaN or Inf if there is one."""
    value = np.float64(_largest(row))
    if value == 0 or not np.isfinite(value):
        return ONE if value == 0 else np.float32(value)
    mantissa, exponent = math.frexp(value)
    return np.float32(math.ldexp(1.0, exponent - (1 if mantissa <= SQRT_HALF else 0)))


@njit(**OPTIONS)
def _quantize_error(row, fmt):
    """`quantize_error` in place; the identity for full precision."""
    if fmt[0] == ZERO:
        return
    shift = _shift(row)
    for i in range(row.size):
        row[i] /= shift
    _quantize_signed(row, ONE, fmt[0], fmt[1])


@compiled(f"float32({ROW}, {ROW}, {ROW}, {ROW}, {FORMAT})")
def readout_error(readout, target, mask, error, fmt):
    """`local_readout.readout_error` for quantized errors: fills ``error`` and returns the fit."""
    fit = ZERO
    for i in range(error.size):
        difference = readout[i] * mask[i] - target[i]
        fit += difference * difference
        error[i] = difference * mask[i]
    _quantize_error(error, fmt)
    return np.float32(0.5) * fit


@compiled(f"float32({ROW}, {ROW}, float32, float32, boolean, {FORMAT})")
def through_sigmoid(error, activation, l1_term, l2_term, gaps, fmt):
    """`local_readout.membrane_error` in place of ``error``, before it is unpooled; what stands in the ``gaps``, if any."""
    _quantize_error(error, fmt)
    for i in range(error.size):
        e = error[i] + l1_term
        error[i] = e * (ONE - activation[i]) * activation[i] + l2_term
    rest = np.full(1, l2_term, np.float32)
    if fmt[0] != ZERO:
        bits = np.empty(2, np.float32)
        bits[0], bits[1] = _largest(error), (abs(l2_term) if gaps else ZERO)
        shift = _shift(bits)
        for i in range(error.size):
            error[i] /= shift
        rest[0] /= shift
        _quantize_signed(error, ONE, fmt[0], fmt[1])
        _quantize_signed(rest, ONE, fmt[0], fmt[1])
    return rest[0]


@njit(**OPTIONS)
def _unpool_place(error, winner, place, rest, out):
    """One place of a window, over its channels: the error where it is the winner, ``rest`` elsewhere."""
    for c in range(out.size):
        out[c] = error[c] if winner[c] == place else rest


@compiled(f"void({MAPS}, int32[:, :, :, ::1], {MAPS}, float32, int64)")
def unpool(error, winner, out, rest, side):
    """``error`` at its winners and ``rest`` elsewhere."""
    width = out.shape[2]
    for b in range(out.shape[0]):
        if side * error.shape[1] < out.shape[1] or side * error.shape[2] < width:
            out[b] = rest
        for h in range(side * error.shape[1]):
            for w in range(side * error.shape[2]):
                e, where = error[b, h // side, w // side], winner[b, h // side, w // side]
                _unpool_place(e, where, np.int32(h * width + w), rest, out[b, h, w])
