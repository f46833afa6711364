"""Jitted recurrences of local learning in integers, equal to `qsnn.dynamics.integer_local`.

Maps lie in memory as (B, H, W, C); a row is one sample's map. Kernels work on samples ``begin`` to ``end``. Sums are of 32
bits where the caller has found that they fit, which gives twice as many lanes as 64. numba widens every product to 64 bits:
casts back after each operation let LLVM do it in 32.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.local.kernels import BLOCK, ONE, ZERO, pool_rows
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled, compiled_for

CODES, FLOATS, CONSTANTS = "int16[:, ::1]", "float32[:, ::1]", "int32[::1]"


@compiled(
    f"void(int64, int64, {FLOATS}, {CODES}, {CODES}, {CONSTANTS}, {CONSTANTS}, {CONSTANTS}, {CONSTANTS}, int32, int32, int32)"
)
def trace_step(begin, end, spikes, membrane, synapse, p1, p2, q1, q2, shift, p_high, q_high):
    """`traces.trace_step` in place, over (B, H*W*C), in 32 bits; ``shift`` below 32."""
    half, shift = np.int32((1 << shift) >> 1), np.int32(shift & 31)
    for batch in range(begin, end):
        for start in range(0, spikes.shape[1], BLOCK):
            part = slice(start, start + BLOCK)
            x, p, q = spikes[batch, part], membrane[batch, part], synapse[batch, part]
            decay, gain, fall, rise = p1[part], p2[part], q1[part], q2[part]
            for i in range(x.size):
                old = np.int32(q[i])
                kept, added = np.int32(decay[i] * np.int32(p[i])), np.int32(gain[i] * old)
                trace = np.int32(np.int32(kept + added) + half) >> shift
                p[i] = np.int16(min(np.int32(trace), p_high))
                kept, added = np.int32(fall[i] * old), np.int32(rise[i] * np.int32(x[i]))
                trace = np.int32(np.int32(kept + added) + half) >> shift
                q[i] = np.int16(max(min(np.int32(trace), q_high), np.int32(0)))


@njit(**OPTIONS)
def _membrane_row(a, r, u, bias, drive, subtracted, after, high):
    """A place's maps: codes ``u`` from the accumulators ``a``, and the refractory states ``r`` after them; their sum and number
    of spikes."""
    total, spikes = np.int64(0), np.int64(0)
    multiplier, half, shift = drive
    for i in range(a.size):
        x = multiplier * (np.int64(a[i]) + bias[i]) - subtracted[r[i]]
        code = (x + half) >> shift
        code = high if code > high else code
        code = -high if code < -high else code
        u[i] = np.int16(code)
        total += code
    for i in range(a.size):
        spike = u[i] >= 0
        spikes += spike
        r[i] = after[1, r[i]] if spike else after[0, r[i]]
    return total, spikes


def _membrane_step(
    begin,
    end,
    accumulator,
    refractory,
    membrane,
    pooled,
    winner,
    totals,
    spikes,
    side,
    bias,
    drive,
    subtracted,
    after,
    high,
):
    """`membrane.membrane_step` of more than one bit; fills ``pooled`` and ``winner`` unless ``side`` is 1.

    ``drive``: multiplier, half of a step, shift; ``subtracted``: on the grid before the shift; ``after``: (2, codes).
    """
    for b in range(begin, end):
        total, count = np.int64(0), np.int64(0)
        for top in range(0, membrane.shape[1], side):
            rows = slice(top, min(top + side, membrane.shape[1]))
            for row in range(rows.start, rows.stop):
                for column in range(membrane.shape[2]):
                    place = (accumulator[b, row, column], refractory[b, row, column], membrane[b, row, column])
                    found = _membrane_row(place[0], place[1], place[2], bias, drive, subtracted, after, high)
                    total, count = total + found[0], count + found[1]
            if side > 1 and top // side < pooled.shape[1]:
                pool_rows(membrane[b, rows], top, pooled[b, top // side], winner[b, top // side])
        totals[b], spikes[b] = total, count


membrane_step = compiled_for(
    "void(int64, int64, {0}[:, :, :, ::1], int16[:, :, :, ::1], int16[:, :, :, ::1], int16[:, :, :, ::1],"
    " int32[:, :, :, ::1], int64[::1], int64[::1], int64, int64[::1], UniTuple(int64, 3), int64[::1], int16[:, ::1], int64)",
    "float32", "int32", "int64",
)(_membrane_step)  # fmt: skip


@compiled(f"void(int64, int64, {CODES}, float32[::1], int64, {FLOATS}, {FLOATS}, float64[::1])")
def activate(begin, end, pooled, table, high, spikes, feature, totals):
    """`readout.activate` over (B, F), and for each sample the sum of z."""
    for batch in range(begin, end):
        u, s, z, total = pooled[batch], spikes[batch], feature[batch], 0.0
        for i in range(u.size):
            s[i] = ONE if u[i] >= 0 else ZERO
            z[i] = table[u[i] + high]
        for i in range(u.size):
            total += z[i]
        totals[batch] = total
