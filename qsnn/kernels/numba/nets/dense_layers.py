"""All of an epoch up to the weight gradients in one jitted kernel: `dense_layers.compose_gradients` on integer codes.

The single operations cost some 50 us each in Python, more than most of them compute at batch 1. The kernel is made of the
same functions as they are, and compiled once for each number of layers. T time, B batch; R = T*B rows of neurons; (T, M)
with M = B*N are the same memory. Arguments in the plural are tuples with one entry a layer, input first.
"""
# mypy: allow-untyped-defs

import functools

import numpy as np
from numba import njit

from qsnn.kernels.numba.neurons import filters, lif
from qsnn.kernels.numba.products import rows
from qsnn.kernels.numba.rounding import quantizers
from qsnn.kernels.numba.rounding.scalars import ONE, factors_of
from qsnn.kernels.numba.runtime.compile import GRIDS, MATRIX, OPTIONS, Kernel, compiled
from qsnn.kernels.numba.runtime.team import meet, share

FINISHED, TOO_DENSE, NOT_A_NUMBER = 0, 1, 2
MEMBRANE, CURRENT, STRAY, GRADIENT, NUM_SIZES = 0, 1, 2, 3, 4  # rows of a layer's ``sizes``: bits of maxima by thread
CODE8 = np.dtype("int8")
ROW_COST = 10  # writing a sum takes as long as adding so many rows
DENSEST = 0.5  # share of hidden spikes above which the dense product is faster

_sum_multiples, _transpose = rows.sum_multiples.jitted, rows.transpose.jitted
_lif_forward, _lif_backward = lif.lif_forward[2].jitted, lif.lif_backward[2, 1].jitted
_difference, _squares, _filter_back, _fixed_codes = (
    filters.filtered_difference.jitted, filters.sums_of_squares.jitted, filters.filter_back.jitted,
    filters.fixed_point_codes.jitted,
)  # fmt: skip
_quantize = quantizers.quantize_scaled[CODE8].jitted
LISTS = "Tuple((int64[::1], int64[::1], int32[::1]))"
CODES, CUBE = "int8[:,::1]", "float32[:,:,::1]"


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
def _gather(first, last, codes, lists, limit, total, step, out):
    """`sum_block` into fresh rows of ``out``."""
    starts, ends, indices = lists
    return rows.sum_block(first, last, codes, starts, ends, indices, limit, total, step, False, out)


@njit(**OPTIONS)
def _input_current(first, last, codes, lists, limit, narrow, step, out):
    """The same with weights, summed in 8 bits where that is wide enough for some."""
    if narrow:
        _gather(first, last, codes, lists, limit, np.empty(rows.WIDTH, np.int8), step, out)
    else:
        _gather(first, last, codes, lists, limit, np.empty(rows.WIDTH, np.int16), step, out)


@njit(**OPTIONS)
def _neurons(first, last, current, decays, theta, grids, out):
    """`lif_forward` from rest."""
    current = current.reshape(out.shape[1], out.shape[2])
    return _lif_forward(first, last, current, np.zeros_like(decays), decays, theta, grids[0], grids[1], out)


@njit(**OPTIONS)
def _back(counters, grad_spikes, current, out, decays, constants, grids, grad):
    """`lif_backward` from rest, by one member: at this size its meetings would cost as much as its work."""
    shape, maxima = (out.shape[1], out.shape[2]), np.empty((2, 1, 16), np.int32)
    return _lif_backward(
        0, 1, counters, maxima, grad_spikes.reshape(shape), current.reshape(shape), out[0], out[1], out[2],
        np.zeros_like(decays), decays, constants[0], constants[1], grids, grad.reshape(shape),
    )  # fmt: skip


@njit(**OPTIONS)
def _loss(out, target, decay, tau, chunk, unit, squares, difference, grad):
    """The distance; its gradient at the spikes into ``grad``, with a ``unit`` other than 0 in fixed point."""
    _difference(0, target.shape[1], out[0], target, decay, difference)
    _squares(0, squares.size, difference.reshape(-1), chunk, squares)
    distance = np.sqrt(squares.sum() / tau)
    divisor = np.float32(tau) * np.float32(distance)
    if unit != 0:
        _fixed_codes(0, target.shape[1], out[0], target, np.float64(decay), unit, grad)
    elif divisor == 0:
        grad[:] = 0
    else:
        _filter_back(0, target.shape[1], difference, divisor, decay, grad)
    return distance


@njit(**OPTIONS)
def _forward(
    member, team, counters, lists, codes, steps, limits, narrow, decays, constants, grids, currents, outs, spikes, sizes,
    counts,
):  # fmt: skip
    """From the input to the current of the last layer; returns the meetings and whether the spikes between are sparse."""
    meetings = 0
    for layer in range(len(codes)):
        first, last = share(spikes[layer].shape[0], member, team)
        _input_current(
            first, last, codes[layer], lists[layer], limits[layer][0], narrow[layer], steps[layer], currents[layer]
        )
        meetings = meet(counters, team, meetings)
        if layer < len(codes) - 1:
            low, high = share(outs[layer].shape[2], member, team)
            sizes[layer, MEMBRANE, member] = _neurons(
                low, high, currents[layer], decays[layer], constants[layer][0], grids[layer], outs[layer]
            )
            meetings = meet(counters, team, meetings)
            counts[member] = _list_spikes(first, last, spikes[layer], lists[layer + 1])
            meetings = meet(counters, team, meetings)
            if counts.sum() > DENSEST * spikes[layer].size:
                return meetings, False
    return meetings, True


@njit(**OPTIONS)
def _last_layer(
    counters, current, decays, constants, decay, tau, chunk, unit, grids, target, out, squares, difference, grad_spikes, grad,
    sizes,
):  # fmt: skip
    """The output neurons, the loss, and back through the neurons; returns the distance.

    For one member: several that shared rows of this size would fight for the cache lines between their parts.
    """
    sizes[MEMBRANE, 0] = _neurons(0, out.shape[2], current, decays, constants[0], grids, out)
    distance = _loss(out, target, decay, tau, chunk, unit, squares, difference, grad_spikes.reshape(target.shape))
    sizes[CURRENT, 0] = _back(counters, grad_spikes, current, out, decays, constants, grids, grad)
    return distance


@njit(**OPTIONS)
def _turn(lists, columns, codes, weight_columns, num_rows):
    """What the way back needs of all layers but the first: weights by output, spikes by neuron."""
    for layer in range(1, len(codes)):
        _transpose(codes[layer], weight_columns[layer])
        starts, ends, indices = lists[layer]
        column_starts, column_ends, column_rows = columns[layer]
        rows.transpose_rows(0, num_rows, 0, starts, ends, indices, column_starts, column_ends, column_rows)


@njit(**OPTIONS)
def _errors(member, team, counters, meetings, grad, grid, codes, sizes):
    """The codes of `quantize_error` of a layer; returns the meetings, and False if there is NaN."""
    first, last = share(codes.shape[0], member, team)
    factors = factors_of(sizes[CURRENT, 0], grid[0])
    sizes[STRAY, member] = not _quantize(first, last, grad, factors, (grid[0], grid[1], False), codes)
    meetings = meet(counters, team, meetings)
    return meetings, not sizes[STRAY].any()


@njit(**OPTIONS)
def _to_layer_below(
    member, team, counters, meetings, errors, weight_columns, limit, step, current, out, decays, constants, grids,
    grad_spikes, grad, sizes,
):  # fmt: skip
    """From a layer's errors to the gradient at the current below it, but for the last stage, which is member 0's alone.

    Returns the meetings.
    """
    first, last = share(errors.shape[0], member, team)
    _sum_multiples(first, last, errors, weight_columns, limit, step, grad_spikes)
    meetings = meet(counters, team, meetings)
    if member == 0:
        sizes[CURRENT, 0] = _back(counters, grad_spikes, current, out, decays, constants, grids, grad)
    return meetings


@njit(**OPTIONS)
def _weight_gradient(member, team, errors, columns, limit, level, gradient, first_layer):
    """A member's rows of it; beyond the first layer those of member 0 go to the others, for it has the neurons below."""
    if first_layer:
        first, last = _share_of_lists(columns, member, team)
    elif member > 0 or team == 1:
        first, last = share(gradient.shape[0], max(member, 1) - 1, max(team, 2) - 1)
    else:
        first, last = 0, 0
    return _gather(first, last, errors, columns, limit, np.empty(rows.WIDTH, np.int16), level, gradient)


@njit(**OPTIONS)
def _backward(
    member, team, counters, meetings, columns, steps, limits, decays, constants, grids, currents, outs, grads, gradients,
    grads_spikes, errors, weight_columns, sizes,
):  # fmt: skip
    """From the gradient at the current of the last layer to all weight gradients; returns one of the states above."""
    for layer in range(len(errors) - 1, -1, -1):
        grid, below = grids[layer][2], max(layer - 1, 0)
        meetings, finite = _errors(member, team, counters, meetings, grads[layer], grid, errors[layer], sizes[layer])
        if not finite:
            return NOT_A_NUMBER
        level = ONE / grid[0]
        if layer > 0:
            meetings = _to_layer_below(
                member, team, counters, meetings, errors[layer], weight_columns[layer], limits[layer][2],
                level * steps[layer], currents[below], outs[below], decays[below], constants[below], grids[below],
                grads_spikes[below], grads[below], sizes[below],
            )  # fmt: skip
        sizes[layer, GRADIENT, member] = _weight_gradient(
            member, team, errors[layer], columns[layer], limits[layer][1], level, gradients[layer], layer == 0
        )
        meetings = meet(counters, team, meetings)
    return FINISHED


def _gradients(
    member, team, counters, lists, columns, codes, steps, limits, narrow, decays, constants, grids, decay, tau, chunk,
    unit, target, currents, outs, spikes, grads, gradients, difference, grads_spikes, errors, weight_columns, squares, sizes,
    counts, distance,
):  # fmt: skip
    """One member's part, see `gradients`; returns one of the states above."""
    meetings, sparse = _forward(
        member, team, counters, lists, codes, steps, limits, narrow, decays, constants, grids, currents, outs, spikes,
        sizes, counts,
    )  # fmt: skip
    if not sparse:
        return TOO_DENSE
    top = len(codes) - 1
    if member == 0:
        distance[0] = _last_layer(
            counters, currents[top], decays[top], constants[top], decay, tau, chunk, unit, grids[top], target, outs[top],
            squares, difference, grads_spikes[top], grads[top], sizes[top],
        )  # fmt: skip
    if member == team - 1:
        _turn(lists, columns, codes, weight_columns, spikes[0].shape[0])
    meetings = meet(counters, team, meetings)
    return _backward(
        member, team, counters, meetings, columns, steps, limits, decays, constants, grids, currents, outs, grads,
        gradients, grads_spikes, errors, weight_columns, sizes,
    )  # fmt: skip


@functools.cache
def gradients_kernel(num_layers: int, surrogate: int) -> Kernel:
    """`_gradients` for so many layers; ``surrogate``: length of theirs, see `lif`."""
    constants = f"Tuple((float32, {lif.SURROGATES[surrogate]}))"

    def each(kind: str) -> str:
        return f"UniTuple({kind}, {num_layers})"

    return compiled(
        f"int64(int64, int64, int64[::1], {each(LISTS)}, {each(LISTS)}, {each(CODES)}, {each('float32')},"
        f" {each('UniTuple(int64, 3)')}, {each('b1')}, {each(MATRIX)}, {each(constants)},"
        f" {each(f'UniTuple({GRIDS[2]}, 4)')}, float32, float64, int64, float64, {MATRIX}, {each(MATRIX)},"
        f" {each(CUBE)},"
        f" {each(MATRIX)}, {each(MATRIX)}, {each(MATRIX)}, {MATRIX}, {each(MATRIX)}, {each(CODES)}, {each(CODES)},"
        f" float64[::1], int32[:,:,::1], int64[::1], float64[::1])"
    )(_gradients)
