"""Jitted recurrences of local learning, equal to `qsnn.dynamics.traces`, `refractory_lif` and `local_readout`.

Maps lie in memory as (B, H, W, C), so that the inner loops run over channels; a row is one sample's map. Kernels work on
samples ``begin`` to ``end``. A format comes as (levels, highest code): levels of 0 is full precision, levels below 0 the
format of one bit, without a zero. Expressions keep the order of the definitions, as float32 rounds after each step; one
simple loop for each of them, over rows that stay in the cache, is what the compiler turns into vector instructions.
Divisions take most of the time, so those by a power of two are multiplications, which give the same bits.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled

ZERO, ONE = np.float32(0), np.float32(1)
POTENTIAL = np.float32(8)
BLOCK = 2048
ROW, ROWS, MAPS, FORMAT = "float32[::1]", "float32[:, ::1]", "float32[:, :, :, ::1]", "UniTuple(float32, 2)"
ANY_ORDER = {**OPTIONS, "fastmath": {"reassoc"}}  # for sums that are exact on grids, or that nobody compares bit by bit


@njit(**OPTIONS)
def quantize_unsigned(row, scale, levels, highest):
    """``scale * quantize_unsigned(x / scale)`` in place."""
    if levels == ZERO:
        return
    step = ONE / levels
    for i in range(row.size):
        code = row[i] / scale * levels
        code = highest if code > highest else code
        code = ZERO if code < ZERO else code
        row[i] = scale * (np.rint(code) * step)


@njit(**OPTIONS)
def quantize_signed(row, scale, levels, highest):
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


@njit(**ANY_ORDER)
def _total(row):
    """The sum in double."""
    total = 0.0
    for i in range(row.size):
        total += row[i]
    return total


@compiled(
    f"void(int64, int64, {ROWS}, {ROWS}, {ROWS}, {ROW}, {ROW}, {ROW}, {ROW}, {FORMAT}, {FORMAT}, float32, float32)"
)
def trace_step(begin, end, spikes, membrane, synapse, alpha, a, beta, b, p_format, q_format, p_scale, q_scale):
    """`traces.trace_step` in place, over (B, H*W*C)."""
    for batch in range(begin, end):
        for start in range(0, spikes.shape[1], BLOCK):
            part = slice(start, start + BLOCK)
            x, p, q = spikes[batch, part], membrane[batch, part], synapse[batch, part]
            decay, gain, fall, rise = alpha[part], a[part], beta[part], b[part]
            for i in range(x.size):
                p[i] = decay[i] * p[i] + gain[i] * q[i]
                q[i] = fall[i] * q[i] + rise[i] * x[i]
            quantize_unsigned(p, p_scale, p_format[0], p_format[1])
            quantize_unsigned(q, q_scale, q_format[0], q_format[1])


@njit(**OPTIONS)
def _membrane_rows(u, r, decay, r_scale, r_format, u_format, scale):
    """`membrane_step` of so many neurons that they stay in the nearest cache from loop to loop."""
    num_spikes = 0
    quantize_unsigned(r, r_scale, r_format[0], r_format[1])
    if scale != ONE:
        for i in range(u.size):
            u[i] /= scale
    for i in range(u.size):
        r[i] = decay * r[i]
        u[i] = u[i] - r[i]
    quantize_signed(u, POTENTIAL, u_format[0], u_format[1])
    for i in range(u.size):
        spike = u[i] >= ZERO
        num_spikes += spike
        r[i] += ONE if spike else ZERO
    return num_spikes


@njit(**OPTIONS, inline="always")
def _pool_windows(rows, top, side, pooled, winner):
    """The first largest element of each window over ``rows`` (side, W, C), as max_pool2d finds it: a NaN wins."""
    width = np.uint64(rows.shape[1])
    for w in range(np.uint64(pooled.shape[0])):
        for c in range(np.uint64(pooled.shape[1])):
            best, where = rows[0, w * np.uint64(side), c], np.int32(0)
            for n in range(1, side * side):
                row, column = np.uint64(n // side), np.uint64(n % side)
                x = rows[row, w * np.uint64(side) + column, c]
                larger = (x > best) | (x != x)
                best = x if larger else best
                where = np.int32(row * width + column) if larger else where
            pooled[w, c] = best
            winner[w, c] = where + np.int32(np.uint64(top) * width + w * np.uint64(side))


@njit(**OPTIONS)
def pool_rows(rows, top, pooled, winner):
    """`_pool_windows`; the loop over a window of the usual sides is unrolled, which lets that over channels be vectorised."""
    side = rows.shape[0]
    if side == 2:
        _pool_windows(rows, top, 2, pooled, winner)
    elif side == 3:
        _pool_windows(rows, top, 3, pooled, winner)
    elif side == 4:
        _pool_windows(rows, top, 4, pooled, winner)
    else:
        _pool_windows(rows, top, side, pooled, winner)


@compiled(
    f"void(int64, int64, {MAPS}, {MAPS}, {MAPS}, int32[:, :, :, ::1], float64[::1], int64[::1], int64, float32, float32,"
    f" {FORMAT}, {FORMAT}, float32)"
)
def membrane_step(
    begin, end, membrane, refractory, pooled, winner, totals, spikes, side, decay, r_scale, r_format, u_format, scale
):
    """`refractory_lif.membrane_step` in place: ``membrane`` holds the drive at first.

    Fills ``pooled`` and ``winner``, unless ``side`` is 1, and for each sample the sum of U and the number of spikes.
    """
    for b in range(begin, end):
        total, count = 0.0, 0
        for top in range(0, membrane.shape[1], side):
            rows = slice(top, min(top + side, membrane.shape[1]))
            u, r = membrane[b, rows].reshape(-1), refractory[b, rows].reshape(-1)
            count += _membrane_rows(u, r, decay, r_scale, r_format, u_format, scale)
            total += _total(u)
            if side > 1 and top // side < pooled.shape[1]:
                pool_rows(membrane[b, rows], top, pooled[b, top // side], winner[b, top // side])
        totals[b], spikes[b] = total, count


@compiled(f"void(int64, int64, {ROWS}, {ROWS}, {ROWS}, {ROWS}, float64[::1], {FORMAT})")
def activate(begin, end, pooled, value, spikes, feature, totals, fmt):
    """`local_readout.activate` of the sigmoid ``value``, over (B, F), and for each sample the sum of z'."""
    for batch in range(begin, end):
        total = 0.0
        for start in range(0, pooled.shape[1], BLOCK):
            part = slice(start, start + BLOCK)
            u, z, s, f = pooled[batch, part], value[batch, part], spikes[batch, part], feature[batch, part]
            for i in range(u.size):
                s[i] = ONE if u[i] >= ZERO else ZERO
                f[i] = z[i]
            quantize_unsigned(f, ONE, fmt[0], fmt[1])
            total += _total(z)
        totals[batch] = total
