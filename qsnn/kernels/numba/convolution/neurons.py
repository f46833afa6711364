"""Jitted layers of LIF neurons, one a pixel, from spikes to pooled spikes and back. Arrays (T, M), M = B*N neurons, time outer.

Forward a sample goes through all its steps while its states are in the cache. It leaves a tape, from which alone the way back
is found, with a fifth of the memory traffic of states and currents: of each neuron whether synapse and membrane were in range
(`SYNAPSE`, `MEMBRANE`), of each window its winner's place and membrane from before the step.

Equations: `qsnn.dynamics.cuba_lif`, `qsnn.kernels.convolution`; habits of the loops: `qsnn.kernels.numba.neurons.lif`.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.convolution.sums import LISTS, LONG, PLACES, WEIGHTS, aligned, sum_of_sample, to_maps
from qsnn.kernels.numba.convolution.vectors import SIDE, largest_of_four
from qsnn.kernels.numba.neurons.lif import (
    SURROGATES,
    _threshold_error,
    _threshold_gradients,
    _threshold_step,
)
from qsnn.kernels.numba.rounding.scalars import (
    INFINITY,
    ONE,
    ZERO,
    factors_of,
    in_range,
    parts_of,
    quantized,
    size_of,
    state_of,
)
from qsnn.kernels.numba.runtime.compile import GRIDS, MATRIX, OPTIONS, compiled, compiled_for
from qsnn.kernels.numba.runtime.team import meet, share

SYNAPSE, MEMBRANE = np.uint8(1), np.uint8(2)
LARGEST_WINDOW = 16  # whose places are bytes
GROUP = 4096  # neurons whose e_thr are made at a time: whole maps, few left over by whole vectors
BYTES = "uint8[:,::1]"
FORMAT = GRIDS[2]  # all formats are ordinary ones, see `scalars`
DRIVE = f"Tuple(({LISTS}, {WEIGHTS}, {PLACES}, {{0}}))"  # `products.Drive`


@njit(**OPTIONS)
def _step(t, low, high, current, syn, mem, neuron, grids, out, masks):
    """Neurons ``low`` to ``high`` in step ``t``; ``syn`` and ``mem`` are the states before it.

    Returns the bits of the membranes' maximum.
    """
    (alpha, beta, theta), (syn_grid, mem_grid), largest = neuron, grids, np.int32(0)
    for n in range(low, high):
        spike = ONE if state_of(mem[n] - theta, mem_grid) > ZERO else ZERO
        raw_syn = alpha * syn[n] + current[t, n]
        raw_mem = beta * mem[n] + syn[n] - spike
        new_syn, new_mem = state_of(raw_syn, syn_grid), state_of(raw_mem, mem_grid)
        out[0, t, n], out[1, t, n], out[2, t, n] = spike, new_syn, new_mem
        masks[t, n] = np.uint8(np.int32(in_range(raw_syn, syn_grid)) + 2 * np.int32(in_range(raw_mem, mem_grid)))
        largest = max(largest, size_of(new_mem))
    return largest


@njit(**OPTIONS)
def _largest_of(mem, corner, width, window):
    """The largest membrane of a window, the first of equals, and its place."""
    best, place = mem[corner], 0
    for y in range(window):
        for x in range(window):
            other = mem[corner + y * width + x]
            if other > best:
                best, place = other, y * window + x
    return best, np.uint8(place)


@njit(**OPTIONS)
def _winners_of_row(mem, above, width, window, q, best, places):
    """The windows of a row of them, that begins at ``above``, into ``best`` and ``places`` from ``q`` on, and perhaps more."""
    columns, x = width // window, 0
    if window == 2:  # what lies behind the row makes windows too, which the next row's will overwrite
        while x < columns and above + width + 2 * x + 2 * SIDE <= mem.size:
            largest_of_four(mem, above + 2 * x, above + width + 2 * x, best, places, q + x)
            x += SIDE
    while x < columns:
        best[q + x], places[q + x] = _largest_of(mem, above + x * window, width, window)
        x += 1


@njit(**OPTIONS)
def _choose(best, places, theta, grid, output, winners, membranes):
    """Pooled spikes and tape of some windows, of their winners' membranes and places."""
    for q in range(output.size):
        output[q] = ONE if state_of(best[q] - theta, grid) > ZERO else ZERO
        membranes[q], winners[q] = best[q], places[q]


@njit(**OPTIONS)
def _pool(t, corner, q, mem, maps, window, neuron, grids, output, tape, best, places):
    """Step ``t`` of a sample, whose first neuron and window these are; ``best`` and ``places``: room for its windows."""
    (channels, height, width), count = maps, 0
    for _ in range(channels):
        for y in range(height // window):
            _winners_of_row(mem, corner + y * window * width, width, window, count, best, places)
            count += width // window
        corner += height * width
    end = q + count
    _choose(best, places, neuron[2], grids[1], output[t, q:end], tape[1][t, q:end], tape[2][t, q:end])


@compiled_for(
    f"int32(int64, int64, {DRIVE}, UniTuple(int64, 3), int64, {MATRIX}, {MATRIX}, UniTuple(float32, 3), UniTuple({FORMAT}, 2),"
    f" float32[:,:,::1], {MATRIX}, Tuple(({BYTES}, {BYTES}, {MATRIX})))",
    "int16",
    "int32",
)
def forward(start, stop, drive, maps, window, current, initial, neuron, grids, out, output, tape):
    """Samples ``start`` to ``stop`` of a batch through all steps; the bits of the membranes' maximum.

    Without a table of weights the currents are there already. ``initial`` (2, M); ``neuron``: decays of synapse and membrane,
    theta; ``grids``: of synapse and membrane; ``out`` (3, T, M) as `LIFActivity`; ``output`` (T, windows); ``tape``: masks
    (T, M), winners' places and membranes (T, windows).
    """
    lists, weights, places, zero = drive
    sums, largest, flat = aligned(places[4], zero), np.int32(0), current.reshape(-1)
    size = maps[0] * maps[1] * maps[2]
    B = current.shape[1] // size
    windows = output.shape[1] // B
    best, spots = np.empty(windows + SIDE, np.float32), np.empty(windows + SIDE, np.uint8)
    for b in range(start, stop):
        syn, mem = initial[0], initial[1]
        for t in range(current.shape[0]):
            if weights[0].size:
                sum_of_sample(t * B + b, lists, weights, places, sums)
                to_maps(sums, places[0], weights[3], maps[0], flat, (t * B + b) * size)
            for low, high in parts_of(b * size, (b + 1) * size, 64):
                largest = max(largest, _step(t, low, high, current, syn, mem, neuron, grids, out, tape[0]))
            _pool(t, b * size, b * windows, mem, maps, window, neuron, grids, output, tape, best, spots)
            syn, mem = out[1, t], out[2, t]
    return largest


@njit(**OPTIONS)
def _errors_of_step(t, low, high, row, mem, factors, theta, surrogate, err_grid, passing, out):
    for q in range(low, high):
        out[t, q] = _threshold_error(row[q], factors, err_grid, in_range(mem[q] - theta, passing), surrogate)


def _threshold_errors(start, stop, grad, membranes, theta, surrogate, grids, out):
    """e_thr at the winners (T, windows) in steps ``start`` to ``stop``, see `lif`; False if a gradient there is NaN or Inf.

    ``grids``: of membrane and errors, and one in whose range the threshold lets errors pass.
    """
    mem_grid, err_grid, passing = grids
    size = grad.shape[1]
    row = _threshold_gradients(size, surrogate)
    for t in range(start, stop):
        mem, largest = membranes[t], np.int32(0)
        for low, high in parts_of(0, size, 64):
            largest = max(largest, _threshold_step(t, low, high, grad, mem, theta, surrogate, mem_grid, row))
        if largest >= INFINITY:
            return False
        factors = factors_of(largest, err_grid[0])
        for low, high in parts_of(0, size, 64):
            _errors_of_step(t, low, high, row, mem, factors, theta, surrogate, err_grid, passing, out)
    return True


threshold_errors = {  # by the length of the surrogate's tuple
    kind: compiled(f"b1(int64, int64, {MATRIX}, {MATRIX}, float32, {surrogate}, UniTuple({FORMAT}, 3), {MATRIX})")(
        _threshold_errors
    )
    for kind, surrogate in SURROGATES.items()
}


@njit(**OPTIONS)
def _at_winners(errors, t, q, winners, corners, places, thr):
    """e_thr of a map whose first window is ``q``, at its winners in the cleared ``thr``."""
    for i in range(corners.size):
        thr[corners[i] + places[winners[t, q + i]]] = errors[t, q + i]


@njit(**OPTIONS)
def _back(t, low, high, masks, decays, grid, factors, syn, mem, thr, out):
    """Neurons ``low`` to ``high`` of step ``t``, with their e_thr; see `lif._backward_step`."""
    max_syn, max_mem, max_out = np.int32(0), np.int32(0), np.int32(0)
    for n in range(low, high):
        mask_syn = ONE if (masks[t, n] & SYNAPSE) != 0 else ZERO
        mask_mem = ONE if (masks[t, n] & MEMBRANE) != 0 else ZERO
        e_syn = quantized(syn[n] * factors[0][0] * factors[0][1], grid) * mask_syn
        e_mem = quantized(mem[n] * factors[1][0] * factors[1][1], grid) * mask_mem
        new_syn = decays[0] * e_syn + e_mem
        new_mem = decays[1] * e_mem + thr[n - low]
        syn[n], mem[n], out[t, n] = new_syn, new_mem, e_syn
        max_syn, max_mem = max(max_syn, size_of(new_syn)), max(max_mem, size_of(new_mem))
        max_out = max(max_out, size_of(e_syn))
    return max_syn, max_mem, max_out


@njit(**OPTIONS)
def _maxima_of_all(member, team, counters, meetings, t, maxima, own):
    """The maxima of step ``t`` over all members; ``maxima`` (2, team, 16): even and odd steps, a cache line a member."""
    for n in range(3):
        maxima[t & 1, member, n] = own[n]
    meetings = meet(counters, team, meetings)
    syn, mem, out = own
    for other in range(team):
        syn, mem = max(syn, maxima[t & 1, other, 0]), max(mem, maxima[t & 1, other, 1])
        out = max(out, maxima[t & 1, other, 2])
    return (syn, mem, out), meetings


@compiled(
    f"int32(int64, int64, int64[::1], int32[:,:,::1], int64, {MATRIX}, {BYTES}, {BYTES}, {LONG}, {LONG},"
    f" UniTuple(float32, 2), {FORMAT}, {MATRIX})"
)
def backward(member, team, counters, maxima, num_maps, errors, winners, masks, corners, places, decays, grid, out):
    """A member's part of the recurrence back in time, see `lif._lif_backward`, of ``num_maps`` maps: M = num_maps * pixels.

    ``errors``: `threshold_errors` (T, windows); ``corners`` of a map's windows; ``places`` of a window, from there. Returns the
    bits of the maximum of ``out``.
    """
    pixels, windows = out.shape[1] // num_maps, corners.size
    start, stop = share(num_maps, member, team)
    syn, mem = np.zeros(out.shape[1], np.float32), np.zeros(out.shape[1], np.float32)
    group = -(-GROUP // pixels)
    thr = np.empty(group * pixels, np.float32)
    none, meetings = np.int32(0), 0
    largest, max_out = (none, none, none), none
    for t in range(out.shape[0] - 1, -1, -1):
        if team > 1:
            largest, meetings = _maxima_of_all(member, team, counters, meetings, t, maxima, largest)
        factors = factors_of(largest[0], grid[0]), factors_of(largest[1], grid[0])
        max_syn, max_mem = none, none
        for first in range(start, stop, group):
            last = min(first + group, stop)
            thr[:] = ZERO
            for m in range(first, last):
                _at_winners(errors, t, m * windows, winners, corners, places, thr[(m - first) * pixels :])
            low, high = np.uint64(first * pixels), np.uint64(last * pixels)
            part = _back(t, low, high, masks, decays, grid, factors, syn, mem, thr, out)
            max_syn, max_mem, max_out = max(max_syn, part[0]), max(max_mem, part[1]), max(max_out, part[2])
        largest = (max_syn, max_mem, max_out)
    if team > 1:
        largest, _ = _maxima_of_all(member, team, counters, meetings, 1, maxima, (none, none, max_out))
        return largest[2]
    return max_out
