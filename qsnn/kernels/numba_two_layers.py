"""All of an epoch up to the weight gradients in one jitted kernel: `two_layers.compose_gradients` on integer codes.

The single operations cost some 50 us each in Python, more than most of them compute at batch 1. The kernel is made of the
same functions as they are. T time, B batch; R = T*B rows of (I inputs, H hidden, N output) neurons; (T, M) with
M = B*H or B*N are the same memory.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels import numba_filters as filters
from qsnn.kernels import numba_lif as lif
from qsnn.kernels import numba_quantizers as quantizers
from qsnn.kernels import numba_rows as rows
from qsnn.kernels.numba_compile import GRIDS, MATRIX, OPTIONS, compiled
from qsnn.kernels.numba_scalars import ONE, factors_of
from qsnn.kernels.numba_team import meet, share

FINISHED, TOO_DENSE, NOT_A_NUMBER = 0, 1, 2
# Rows of ``sizes``, the bits of maxima by thread; of both layers where a pair is kept.
MEMBRANE, CURRENT, STRAY, GRADIENT, NUM_SIZES = 0, 2, 3, 4, 6
CODE8 = np.dtype("int8")
ROW_COST = 10  # writing a sum takes as long as adding so many rows
DENSEST = 0.5  # share of hidden spikes above which the dense product is faster

_sum_multiples, _transpose = rows.sum_multiples.jitted, rows.transpose.jitted
_lif_forward, _lif_backward = lif.lif_forward[2].jitted, lif.lif_backward[2].jitted
_difference, _squares, _filter_back = (
    filters.filtered_difference.jitted, filters.sums_of_squares.jitted, filters.filter_back.jitted
)  # fmt: skip
_quantize = quantizers.quantize_scaled[CODE8].jitted


LISTS = "Tuple((int64[::1], int64[::1], int32[::1]))"
CODES, CUBE, LINE = "int8[:,::1]", "float32[:,:,::1]", "int32[:,::1]"


@njit(**OPTIONS)
def _list_spikes(first, last, spikes, lists):
    """The ones of rows of spikes, in lists that have room for all; how many there are."""
    starts, ends, indices = lists
    count, width = 0, spikes.shape[1]
    for r in range(first, last):
        row, place = indices[r * (width + 1) : (r + 1) * (width + 1)], 0
        for i in range(width):
            row[place] = i
            place += spikes[r, i] != 0
        starts[r], ends[r] = r * (width + 1), r * (width + 1) + place
        count += place
    return count


@njit(**OPTIONS)
def _bound(starts, count):
    """The first list before which there are ``count`` numbers, each list counted as some more."""
    low, high = 0, starts.size
    while low < high:
        middle = (low + high) // 2
        if starts[middle] + middle * ROW_COST < count:
            low = middle + 1
        else:
            high = middle
    return low


@njit(**OPTIONS)
def _share_of_lists(lists, member, team):
    """`share` of lists one behind the other, by their lengths: some channels have many more spikes than others."""
    starts, ends, _ = lists
    whole = ends[-1] + ends.size * ROW_COST
    first = 0 if member == 0 else _bound(starts, whole * member // team)
    return first, starts.size if member == team - 1 else _bound(starts, whole * (member + 1) // team)


@njit(**OPTIONS)
def _gather(first, last, codes, lists, limit, kind, step, out):
    """`sum_block` into fresh rows of ``out``."""
    starts, ends, indices = lists
    total = np.empty(rows.WIDTH, kind.dtype)
    return rows.sum_block(first, last, codes, starts, ends, indices, limit, total, step, False, out)


@njit(**OPTIONS)
def _neurons(first, last, current, decays, theta, grids, out):
    """`lif_forward` from rest."""
    current = current.reshape(out.shape[1], out.shape[2])
    return _lif_forward(first, last, current, np.zeros_like(decays), decays, theta, grids[0], grids[1], out)


@njit(**OPTIONS)
def _back(counters, grad_spikes, current, out, decays, theta, slope, grids, grad):
    """`lif_backward` from rest, by one member: at this size its meetings would cost as much as its work."""
    shape, maxima = (out.shape[1], out.shape[2]), np.empty((2, 1, 16), np.int32)
    return _lif_backward(
        0, 1, counters, maxima, grad_spikes.reshape(shape), current.reshape(shape), out[0], out[1], out[2],
        np.zeros_like(decays), decays, theta, slope, grids, grad.reshape(shape),
    )  # fmt: skip


@njit(**OPTIONS)
def _errors(first, last, grad, size, grid, codes):
    """Rows of the codes of `quantize_error`; whether there was no NaN."""
    return _quantize(first, last, grad, factors_of(size, grid[0]), (grid[0], grid[1], False), codes)


@njit(**OPTIONS)
def _loss(out, target, decay, tau, chunk, squares, difference, grad):
    """The distance; its gradient at the spikes into ``grad``."""
    _difference(0, target.shape[1], out[0], target, decay, difference)
    _squares(0, squares.size, difference.reshape(-1), chunk, squares)
    distance = np.sqrt(squares.sum() / tau)
    divisor = np.float32(tau) * np.float32(distance)
    if divisor == 0:
        grad[:] = 0
    else:
        _filter_back(0, target.shape[1], difference, divisor, decay, grad)
    return distance


@njit(**OPTIONS)
def _forward(
    member, team, counters, meetings, x_rows, codes, steps, limit, kind, decays, theta, grids, currents, out, spikes,
    lists, sizes, counts,
):  # fmt: skip
    """From the input to the current of the output layer; returns the meetings and whether the hidden spikes are sparse."""
    first, last = share(spikes.shape[0], member, team)
    _gather(first, last, codes[0], x_rows, limit, kind, steps[0], currents[0])
    meetings = meet(counters, team, meetings)
    low, high = share(out.shape[2], member, team)
    sizes[MEMBRANE, member] = _neurons(low, high, currents[0], decays, theta, grids, out)
    meetings = meet(counters, team, meetings)
    counts[member] = _list_spikes(first, last, spikes, lists)
    meetings = meet(counters, team, meetings)
    if counts.sum() > DENSEST * spikes.size:
        return meetings, False
    _gather(first, last, codes[1], lists, limit, kind, steps[1], currents[1])
    return meet(counters, team, meetings), True


@njit(**OPTIONS)
def _output_layer(
    counters, current, decays, constants, tau, chunk, grids, target, out, squares, difference, grad_spikes, grad, sizes
):  # fmt: skip
    """The output neurons, the loss, and back through the neurons; returns the distance.

    For one member: several that shared rows of this size would fight for the cache lines between their parts.
    """
    theta, slope, decay = constants
    sizes[MEMBRANE + 1, 0] = _neurons(0, out.shape[2], current, decays, theta, grids, out)
    distance = _loss(out, target, decay, tau, chunk, squares, difference, grad_spikes.reshape(target.shape))
    sizes[CURRENT, 0] = _back(counters, grad_spikes, current, out, decays, theta, slope, grids, grad)
    return distance


@njit(**OPTIONS)
def _back_to_hidden(
    member, team, counters, meetings, step, limit, grid, grad, grad_hidden, errors, weight_columns, sizes
):  # fmt: skip
    """From the gradient at the output current to that at the hidden spikes; returns the meetings, and False for NaN."""
    num_rows = errors.shape[0]
    first, last = share(num_rows, member, team)
    sizes[STRAY, member] = not _errors(first, last, grad, sizes[CURRENT, 0], grid, errors)
    meetings = meet(counters, team, meetings)
    if sizes[STRAY].any():
        return meetings, False
    _sum_multiples(first, last, errors, weight_columns, limit, step, grad_hidden)
    return meet(counters, team, meetings), True


@njit(**OPTIONS)
def _input_gradient(
    member, team, counters, meetings, x_columns, limit, kind, level, grid, grad, errors, gradient, sizes
):  # fmt: skip
    """Of the hidden layer's weights, from the gradient at its current; returns FINISHED or NOT_A_NUMBER."""
    meetings = meet(counters, team, meetings)
    first, last = share(errors.shape[0], member, team)
    sizes[STRAY, member] = not _errors(first, last, grad, sizes[CURRENT, 0], grid, errors)
    meetings = meet(counters, team, meetings)
    if sizes[STRAY].any():
        return NOT_A_NUMBER
    first, last = _share_of_lists(x_columns, member, team)
    sizes[GRADIENT, member] = _gather(first, last, errors, x_columns, limit, kind, level, gradient)
    meet(counters, team, meetings)
    return FINISHED


def _gradients(
    member, team, counters, x_rows, x_columns, codes, steps, limits, kind, decays, constants, tau, chunk, grids, target,
    currents, outs, spikes, grads, gradients, difference, grads_spikes, lists, columns, errors, weight_columns, squares,
    sizes, counts, distance,
):  # fmt: skip
    """One member's part. Pairs are of hidden and output layer, see `numba_gradients`; returns one of the states above."""
    theta, slope, _ = constants
    level, int16, meetings = ONE / grids[2][0], np.empty(0, np.int16), 0
    meetings, sparse = _forward(
        member, team, counters, meetings, x_rows, codes, steps, limits[0], kind, decays[0], theta, grids, currents,
        outs[0], spikes, lists, sizes, counts,
    )  # fmt: skip
    if not sparse:
        return TOO_DENSE
    if member == 0:
        distance[0] = _output_layer(
            counters, currents[1], decays[1], constants, tau, chunk, grids, target, outs[1], squares, difference,
            grads_spikes[1], grads[1], sizes,
        )  # fmt: skip
    if member == team - 1:
        _transpose(codes[1], weight_columns)
        rows.transpose_rows(0, spikes.shape[0], 0, lists[0], lists[1], lists[2], columns[0], columns[1], columns[2])
    meetings = meet(counters, team, meetings)
    meetings, finite = _back_to_hidden(
        member, team, counters, meetings, level * steps[1], limits[2], grids[2], grads[1], grads_spikes[0], errors[1],
        weight_columns, sizes,
    )  # fmt: skip
    if not finite:
        return NOT_A_NUMBER
    if member == 0:
        sizes[CURRENT, 0] = _back(
            counters, grads_spikes[0], currents[0], outs[0], decays[0], theta, slope, grids, grads[0]
        )
    if member > 0 or team == 1:  # whoever is not busy with that
        first, last = share(spikes.shape[1], max(member, 1) - 1, max(team, 2) - 1)
        sizes[GRADIENT + 1, member] = _gather(first, last, errors[1], columns, limits[1], int16, level, gradients[1])
    return _input_gradient(
        member, team, counters, meetings, x_columns, limits[1], int16, level, grids[2], grads[0], errors[0], gradients[0],
        sizes,
    )  # fmt: skip


def _signature(kind: str) -> str:
    """With currents of weights summed in integers of ``kind``."""
    matrices, cubes = f"UniTuple({MATRIX}, 2)", f"UniTuple({CUBE}, 2)"
    return (
        f"int64(int64, int64, int64[::1], {LISTS}, {LISTS}, UniTuple({CODES}, 2), UniTuple(float32, 2),"
        f" UniTuple(int64, 3), {kind}[::1], {matrices}, UniTuple(float32, 3), float64, int64, UniTuple({GRIDS[2]}, 4),"
        f" {MATRIX}, {matrices}, {cubes}, {MATRIX}, {matrices}, {matrices}, {MATRIX}, {matrices}, {LISTS}, {LISTS},"
        f" UniTuple({CODES}, 2), {CODES}, float64[::1], {LINE}, int64[::1], float64[::1])"
    )


gradients = {np.dtype(kind): compiled(_signature(kind))(_gradients) for kind in ("int8", "int16")}
