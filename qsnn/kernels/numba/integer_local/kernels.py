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

ZERO_CODE = np.int16(0)
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
def _few_states(a, r, u, bias, factor, steps, falls, rises, high):
    """`_membrane_rows` of at most four refractory codes: sums of differences are vectors where a look-up is none."""
    num_spikes = 0
    for i in range(u.size):
        code = r[i]
        rest = steps[0] + (steps[1] if code > 0 else 0.0) + (steps[2] if code > 1 else 0.0)
        rest += steps[3] if code > 2 else 0.0
        x = np.floor(factor * (np.float64(a[i]) + bias[i]) + rest)
        x = high if x > high else x
        u[i] = np.int16(-high if x < -high else x)
    for i in range(u.size):
        code, spike = r[i], u[i] >= 0
        low = falls[0] + (falls[1] if code > 0 else ZERO_CODE) + (falls[2] if code > 1 else ZERO_CODE)
        top = rises[0] + (rises[1] if code > 0 else ZERO_CODE) + (rises[2] if code > 1 else ZERO_CODE)
        low += falls[3] if code > 2 else ZERO_CODE
        top += rises[3] if code > 2 else ZERO_CODE
        r[i] = np.int16(top if spike else low)
        num_spikes += spike
    return num_spikes


@njit(**OPTIONS)
def _membrane_rows(a, r, u, bias, factor, rest, after, high):
    """Codes ``u`` of some neurons, and in place their refractory codes ``r``; the number of spikes."""
    num_spikes = 0
    for i in range(u.size):
        x = np.floor(factor * (np.float64(a[i]) + bias[i]) + rest[np.uint16(r[i])])
        x = high if x > high else x
        u[i] = np.int16(-high if x < -high else x)
    for i in range(u.size):
        code = np.uint16(r[i])
        r[i] = after[1, code] if u[i] >= 0 else after[0, code]
        num_spikes += u[i] >= 0
    return num_spikes


@njit(**OPTIONS)
def _total(u):
    total = np.int32(0)
    for i in range(u.size):
        total += np.int32(u[i])
    return total


@njit(**OPTIONS)
def _differences(table):
    """Four numbers, each less the one before it; what the table does not have is 0."""
    return (
        table[0],
        table[1] - table[0] if table.size > 1 else table[0] - table[0],
        table[2] - table[1] if table.size > 2 else table[0] - table[0],
        table[3] - table[2] if table.size > 3 else table[0] - table[0],
    )


def _membrane_step(
    begin, end, accumulator, refractory, membrane, pooled, winner, totals, spikes, side, bias, factor, rest, after, high
):
    """`membrane.membrane_step` of more than one bit; fills ``pooled`` and ``winner`` unless ``side`` is 1.

    In doubles, which hold every number exactly: u = floor(``factor`` (a + ``bias``) + ``rest``[r]), where ``bias`` is that of
    the neurons of a row (W, C), ``rest`` half a step less what the refractory state subtracts; ``after``: (2, codes).
    """
    steps, falls, rises = _differences(rest), _differences(after[0]), _differences(after[1])
    for b in range(begin, end):
        total, count = np.int64(0), 0
        for top in range(0, membrane.shape[1], side):
            rows = slice(top, min(top + side, membrane.shape[1]))
            for row in range(rows.start, rows.stop):
                a, r, u = accumulator[b, row].reshape(-1), refractory[b, row].reshape(-1), membrane[b, row].reshape(-1)
                if rest.size <= 4:
                    count += _few_states(a, r, u, bias, factor, steps, falls, rises, high)
                else:
                    count += _membrane_rows(a, r, u, bias, factor, rest, after, high)
                total += _total(u)
            if side > 1 and top // side < pooled.shape[1]:
                pool_rows(membrane[b, rows], top, pooled[b, top // side], winner[b, top // side])
        totals[b], spikes[b] = total, count


membrane_step = compiled_for(
    "void(int64, int64, {0}[:, :, :, ::1], int16[:, :, :, ::1], int16[:, :, :, ::1], int16[:, :, :, ::1],"
    " int32[:, :, :, ::1], int64[::1], int64[::1], int64, float64[::1], float64, float64[::1], int16[:, ::1], float64)",
    "float32", "int32", "int64",
)(_membrane_step)  # fmt: skip


@compiled(f"void(int64, int64, {CODES}, float32[::1], int64, {FLOATS}, {FLOATS}, float64[::1])")
def activate(begin, end, pooled, table, high, spikes, feature, totals):
    """`readout.activate` over (B, F), and for each sample the sum of z."""
    for batch in range(begin, end):
        u, s, z, total = pooled[batch], spikes[batch], feature[batch], 0.0
        for i in range(u.size):
            s[i] = ONE if u[i] >= 0 else ZERO
            z[i] = table[np.uint32(u[i] + high)]
        for i in range(u.size):
            total += z[i]
        totals[batch] = total
