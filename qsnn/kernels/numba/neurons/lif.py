"""Jitted LIF recurrences. Arrays are float32; (T, M) with M = B*N neurons, time outer, neurons inner.

Two habits keep the inner loops fast. What runs for every time step is a function of its own with unsigned bounds: an
index that might be negative keeps LLVM from vectorising. And it takes whole arrays, not slices: every slice costs two
atomic operations for its reference count.

``surrogate`` is a tuple whose length is known when a kernel is compiled: the slope alone, for a division; or the table of
`qsnn.dynamics.surrogate` and the levels of the membrane's codes, for products in double.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.rounding.scalars import (
    ONE,
    ZERO,
    factors_of,
    in_range,
    is_full_precision,
    parts_of,
    quantized,
    shift_size,
    size_of,
    state_of,
    wide_quantized,
    wide_size,
)
from qsnn.kernels.numba.runtime.compile import GRIDS, MATRIX, OPTIONS, ROW, compiled
from qsnn.kernels.numba.runtime.team import meet, share


@njit(**OPTIONS)
def _forward_step(t, low, high, current, syn, mem, decays, theta, syn_grid, mem_grid, out):
    """Neurons ``low`` to ``high`` in step ``t`` of `lif_forward`; ``syn`` and ``mem`` are the states before it.

    Returns the bits of the membranes' maximum.
    """
    largest = np.int32(0)
    for n in range(low, high):
        spike = ONE if state_of(mem[n] - theta, mem_grid) > ZERO else ZERO
        new_syn = state_of(decays[0, n] * syn[n] + current[t, n], syn_grid)
        new_mem = state_of(decays[1, n] * mem[n] + syn[n] - spike, mem_grid)
        out[0, t, n], out[1, t, n], out[2, t, n] = spike, new_syn, new_mem
        largest = max(largest, size_of(new_mem))
    return largest


def _lif_forward(start, stop, current, initial, decays, theta, syn_grid, mem_grid, out):
    """`lif_sequence`: ``initial`` and ``decays`` (2, M), synapse then membrane; ``out`` (3, T, M) as `LIFActivity`.

    Returns the bits of the membranes' maximum.
    """
    syn, mem, largest = initial[0], initial[1], np.int32(0)
    for t in range(current.shape[0]):
        for low, high in parts_of(start, stop, 16):
            part = _forward_step(t, low, high, current, syn, mem, decays, theta, syn_grid, mem_grid, out)
            largest = max(largest, part)
        syn, mem = out[1, t], out[2, t]
    return largest


@njit(**OPTIONS)
def _divided_step(t, low, high, grad_spikes, mem, theta, slope, grid, grad):
    """g_s / (slope * |v_thr| + 1)^2 of time step ``t`` into ``grad``; returns the bits of its maximum."""
    largest = np.int32(0)
    for n in range(low, high):
        root = slope * abs(state_of(mem[n] - theta, grid)) + ONE
        gradient = grad_spikes[t, n] / (root * root)
        grad[n] = gradient
        largest = max(largest, size_of(gradient))
    return largest


@njit(**OPTIONS)
def _tabled_step(t, low, high, grad_spikes, mem, table, levels, grad):
    """g_s * table[mem] of time step ``t`` into ``grad``; returns the bits of its maximum's `shift` as a float32."""
    largest, zero, last = np.int64(0), np.float32(table.size // 2), np.int32(table.size - 1)
    for n in range(low, high):
        place = np.uint32(max(np.int32(0), min(last, np.int32(mem[n] * levels + zero))))
        gradient = np.float64(grad_spikes[t, n]) * np.float64(table[place])
        grad[n] = gradient
        largest = max(largest, wide_size(gradient))
    return shift_size(largest)


@njit(**OPTIONS)
def _threshold_step(t, low, high, grad_spikes, mem, theta, surrogate, grid, grad):
    """One of the two, by the ``surrogate``."""
    if len(surrogate) == 1:
        return _divided_step(t, low, high, grad_spikes, mem, theta, surrogate[0], grid, grad)
    return _tabled_step(t, low, high, grad_spikes, mem, surrogate[0], surrogate[1], grad)


@njit(**OPTIONS)
def _threshold_gradients(size, surrogate):
    """Memory for those of one step."""
    if len(surrogate) == 1:
        return np.empty(size, np.float32)
    return np.empty(size, np.float64)


@njit(**OPTIONS)
def _error(grad, factors, grid, mask):
    """E: quantized error and mask; the identity in full precision."""
    error = quantized(grad * factors[0] * factors[1], grid) * mask
    return grad if is_full_precision(grid) else error


@njit(**OPTIONS)
def _threshold_error(grad, factors, grid, mask, surrogate):
    """`_error` of a product in double, or of a quotient."""
    if len(surrogate) == 1:
        return _error(grad, factors, grid, mask)
    return wide_quantized(grad * (np.float64(factors[0]) * np.float64(factors[1])), grid) * mask


@njit(**OPTIONS)
def _backward_step(
    t, low, high, syn, mem, spikes, current, decays, theta, surrogate, grids, factors, grad, grad_thr, new_grad, out
):
    """Step ``t`` of `lif_backward`: ``grad`` and ``new_grad`` (2, M) before and after it.

    Returns the bits of the maxima of synapse and membrane gradient after it, and of ``out``.
    """
    syn_grid, mem_grid, err_grid, passing = grids
    max_syn, max_mem, max_out = np.int32(0), np.int32(0), np.int32(0)
    for n in range(low, high):
        mask_thr = in_range(mem[n] - theta, passing)
        mask_mem = in_range(decays[1, n] * mem[n] + syn[n] - spikes[t, n], mem_grid)
        mask_syn = in_range(decays[0, n] * syn[n] + current[t, n], syn_grid)
        e_syn = _error(grad[0, n], factors[0], err_grid, mask_syn)
        e_mem = _error(grad[1, n], factors[1], err_grid, mask_mem)
        e_thr = _threshold_error(grad_thr[n], factors[2], err_grid, mask_thr, surrogate)
        new_syn = decays[0, n] * e_syn + e_mem
        new_mem = decays[1, n] * e_mem + e_thr
        new_grad[0, n], new_grad[1, n], out[t, n] = new_syn, new_mem, e_syn
        max_syn, max_mem = max(max_syn, size_of(new_syn)), max(max_mem, size_of(new_mem))
        max_out = max(max_out, size_of(e_syn))
    return max_syn, max_mem, max_out


@njit(**OPTIONS)
def _maxima_of_all(member, team, counters, meetings, t, maxima, own):
    """The maxima of step ``t`` over all members; ``maxima`` (2, team, 16): even and odd steps, a cache line a member."""
    max_syn, max_mem, max_thr = own
    maxima[t & 1, member, 0], maxima[t & 1, member, 1], maxima[t & 1, member, 2] = own
    meetings = meet(counters, team, meetings)
    for other in range(team):
        max_syn = max(max_syn, maxima[t & 1, other, 0])
        max_mem = max(max_mem, maxima[t & 1, other, 1])
        max_thr = max(max_thr, maxima[t & 1, other, 2])
    return (max_syn, max_mem, max_thr), meetings


def _lif_backward(
    member, team, counters, maxima, grad_spikes, current, spikes, synapse, membrane, initial, decays, theta,
    surrogate, grids, out,
):  # fmt: skip
    """A member's part of `lif_sequence_backward`, from the last step to the first: a step needs the maxima of all.

    ``grids``: see `calls.backward_grids`. Returns the bits of the maximum of ``out``.
    """
    size, levels, meetings = out.shape[1], grids[2][0], 0
    start, stop = share(size, member, team)
    old, new = np.zeros((2, size), np.float32), np.empty((2, size), np.float32)
    thr = _threshold_gradients(size, surrogate)
    max_syn, max_mem, max_out = np.int32(0), np.int32(0), np.int32(0)
    for t in range(out.shape[0] - 1, -1, -1):
        syn, mem = initial[0], initial[1]
        if t > 0:
            syn, mem = synapse[t - 1], membrane[t - 1]
        max_thr = np.int32(0)
        for low, high in parts_of(start, stop, 64):
            part = _threshold_step(t, low, high, grad_spikes, mem, theta, surrogate, grids[1], thr)
            max_thr = max(max_thr, part)
        sizes = (max_syn, max_mem, max_thr)
        if team > 1:
            sizes, meetings = _maxima_of_all(member, team, counters, meetings, t, maxima, sizes)
        factors = (factors_of(sizes[0], levels), factors_of(sizes[1], levels), factors_of(sizes[2], levels))
        max_syn, max_mem = np.int32(0), np.int32(0)
        for low, high in parts_of(start, stop, 32):
            part_syn, part_mem, part_out = _backward_step(
                t, low, high, syn, mem, spikes, current, decays, theta, surrogate, grids, factors, old, thr, new, out
            )
            max_syn, max_mem, max_out = max(max_syn, part_syn), max(max_mem, part_mem), max(max_out, part_out)
        old, new = new, old
    if team > 1:
        (max_out, _, _), _ = _maxima_of_all(
            member, team, counters, meetings, 1, maxima, (max_out, np.int32(0), np.int32(0))
        )
    return max_out


# By the length of the grids' tuples: 2 where all are ordinary ones, see `scalars`.
lif_forward = {
    size: compiled(f"int32(int64, int64, {MATRIX}, {MATRIX}, {MATRIX}, float32, {grid}, {grid}, float32[:,:,::1])")(
        _lif_forward
    )
    for size, grid in GRIDS.items()
}
SURROGATES = {1: "UniTuple(float32, 1)", 2: f"Tuple(({ROW}, float32))"}  # by length, see above
lif_backward = {
    (size, kind): compiled(
        f"int32(int64, int64, int64[::1], int32[:,:,::1], {', '.join([MATRIX] * 7)}, float32, {surrogate},"
        f" UniTuple({grid}, 4), {MATRIX})"
    )(_lif_backward)
    for size, grid in GRIDS.items()
    for kind, surrogate in SURROGATES.items()
}
