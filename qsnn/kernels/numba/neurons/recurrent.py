"""Jitted recurrences of layers whose spikes come back to them, and of neurons without a synaptic filter (`dynamics.lif`).

Arrays as in `lif`; N neurons of each of B samples, M = B*N. A thread has samples of its own, so that forward it needs nobody
and backward only the maxima. Kernels without recurrent weights, (0, ...), are those of a layer that is not recurrent.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit, types
from numba.extending import overload

from qsnn.kernels.numba.neurons.lif import (
    SURROGATES,
    _backward_step,
    _error,
    _forward_step,
    _maxima_of_all,
    _threshold_error,
    _threshold_gradients,
    _threshold_step,
)
from qsnn.kernels.numba.products.blocks import float_products, integer_products
from qsnn.kernels.numba.products.vectors import WIDTH, add_rows, list_ones
from qsnn.kernels.numba.rounding.scalars import ONE, ZERO, factors_of, in_range, parts_of, size_of, state_of
from qsnn.kernels.numba.runtime.compile import GRIDS, MATRIX, OPTIONS, compiled
from qsnn.kernels.numba.runtime.team import share

ONE_BITS = np.int32(0x3F800000)  # of 1.0


@njit(**OPTIONS)
def _add_part(current, place, count, total, step):
    """``current[place + j] += step * total[j]``."""
    for j in range(count):
        current[place + j] += step * np.float32(total[j])


@njit(**OPTIONS)
def _feed_back(start, stop, bits, codes, step, indices, total, current):
    """Add the rows of the weights' codes at the ones of each sample's spikes (their bits, B*N) to ``current``."""
    size = current.size // bits.shape[0]
    for b in range(start, stop):
        count, _ = list_ones(bits[b], ONE_BITS, np.int32(0), indices, 0)
        for low in range(0, size if count else 0, WIDTH):
            total[:] = 0
            add_rows(codes, low, indices, 0, count, total)
            _add_part(current, np.uint64(b * size + low), np.uint64(min(WIDTH, size - low)), total, step)


@njit(**OPTIONS)
def _leaky_forward_step(t, low, high, current, mem, decays, theta, grid, out):
    """`lif._forward_step` without a synapse."""
    largest = np.int32(0)
    for n in range(low, high):
        spike = ONE if state_of(mem[n] - theta, grid) > ZERO else ZERO
        new_mem = state_of(decays[1, n] * mem[n] + current[t, n] - spike, grid)
        out[0, t, n], out[1, t, n], out[2, t, n] = spike, current[t, n], new_mem
        largest = max(largest, size_of(new_mem))
    return largest


def _recurrent_forward(
    start, stop, size, leaky, current, codes, kind, step, initial, decays, theta, syn_grid, mem_grid, bits, out
):
    """`sequence` of the samples ``start`` to ``stop``, of ``size`` neurons each, with feedback by ``step * codes``, summed
    in integers of ``kind``.

    ``current`` (T, M): the drive, to which the feedback is added; ``out`` (3, T, M), ``bits`` (T, B, N): those of its spikes.
    Returns the bits of the membranes' maximum.
    """
    syn, mem, largest = initial[0], initial[1], np.int32(0)
    indices, total = np.empty(size + 1, np.int32), np.empty(WIDTH, kind.dtype)
    for t in range(current.shape[0]):
        if codes.shape[0] > 0 and t > 0:
            _feed_back(start, stop, bits[t - 1], codes, step, indices, total, current[t])
        for low, high in parts_of(start * size, stop * size, 16):
            if leaky:
                part = _leaky_forward_step(t, low, high, current, mem, decays, theta, mem_grid, out)
            else:
                part = _forward_step(t, low, high, current, syn, mem, decays, theta, syn_grid, mem_grid, out)
            largest = max(largest, part)
        syn, mem = out[1, t], out[2, t]
    return largest


def _multiply(start, stop, errors, levels, codes, weights, first, step, out):
    """``out[b] = errors[b] @ w`` of the samples ``start`` to ``stop``, exact in any order; w as `blocks.ErrorWeights`.

    ``codes``: room for those of the errors, if the weights are integers.
    """
    raise NotImplementedError("for jitted callers only")


@overload(_multiply)
def _multiply_by_type(start, stop, errors, levels, codes, weights, first, step, out):
    return _multiply_integers if weights.dtype == types.int8 else _multiply_numbers


def _multiply_integers(start, stop, errors, levels, codes, weights, first, step, out):
    for b in range(start, stop):
        _to_codes(b, errors, levels, codes)
    integer_products(start, stop, codes, weights, first, step, out)


def _multiply_numbers(start, stop, errors, levels, codes, weights, first, step, out):
    float_products(start, stop, errors, weights, out)


@njit(**OPTIONS)
def _to_codes(b, errors, levels, codes):
    for n in range(np.uint64(errors.shape[1])):
        codes[b, n] = np.int32(errors[b, n] * levels)


@njit(**OPTIONS)
def _add_to_spikes(start, stop, size, grad_spikes, feedback, out):
    """``out[b*N + n] = grad_spikes[b*N + n] + feedback[b, n]``."""
    for b in range(start, stop):
        for n in range(np.uint64(size)):
            out[b * size + n] = grad_spikes[b * size + n] + np.float32(feedback[b, n])


@njit(**OPTIONS)
def _leaky_backward_step(
    t, low, high, mem, spikes, current, decays, theta, surrogate, grids, factors, grad, grad_thr, new_grad, out
):
    """`lif._backward_step` without a synapse."""
    _, mem_grid, err_grid, passing = grids
    max_mem, max_out = np.int32(0), np.int32(0)
    for n in range(low, high):
        mask_thr = in_range(mem[n] - theta, passing)
        mask_mem = in_range(decays[1, n] * mem[n] + current[t, n] - spikes[t, n], mem_grid)
        e_mem = _error(grad[1, n], factors[1], err_grid, mask_mem)
        new_mem = decays[1, n] * e_mem + _threshold_error(grad_thr[n], factors[2], err_grid, mask_thr, surrogate)
        new_grad[1, n], out[t, n] = new_mem, e_mem
        max_mem, max_out = max(max_mem, size_of(new_mem)), max(max_out, size_of(e_mem))
    return np.int32(0), max_mem, max_out


@njit(**OPTIONS)
def _threshold(start, stop, summed, mem, theta, surrogate, grid, thr):
    """`lif._threshold_step` of a member's neurons."""
    largest = np.int32(0)
    for low, high in parts_of(start, stop, 64):
        largest = max(largest, _threshold_step(0, low, high, summed, mem, theta, surrogate, grid, thr))
    return largest


@njit(**OPTIONS)
def _back_one_step(
    t, start, stop, leaky, syn, mem, spikes, current, decays, theta, surrogate, grids, factors, grad, thr, new_grad, out
):
    """The neuron's own step for a member's neurons; the maxima of synapse and membrane gradient and of ``out``."""
    max_syn, max_mem, max_out = np.int32(0), np.int32(0), np.int32(0)
    for low, high in parts_of(start, stop, 32):
        if leaky:
            part = _leaky_backward_step(
                t, low, high, mem, spikes, current, decays, theta, surrogate, grids, factors, grad, thr, new_grad, out
            )
        else:
            part = _backward_step(
                t, low, high, syn, mem, spikes, current, decays, theta, surrogate, grids, factors, grad, thr,
                new_grad, out,
            )  # fmt: skip
        max_syn, max_mem, max_out = max(max_syn, part[0]), max(max_mem, part[1]), max(max_out, part[2])
    return max_syn, max_mem, max_out


def _recurrent_backward(
    member, team, counters, maxima, leaky, weights, first_sums, step, codes, feedback, grad_spikes, current, spikes,
    synapse, membrane, initial, decays, theta, surrogate, grids, out,
):  # fmt: skip
    """A member's part of `sequence_backward`, ``out`` (T, B, N); ``weights``, ``first_sums``, ``step``, ``codes`` and
    ``feedback`` (B, padded): see `_multiply`.

    Returns the bits of the maximum of ``out``.
    """
    steps, size, levels, meetings = out.shape[0], out.shape[2], grids[2][0], 0
    first, last = share(out.shape[1], member, team)
    start, stop = first * size, last * size
    flat, M = out.reshape(steps, -1), current.shape[1]
    old, new, thr = np.zeros((2, M), np.float32), np.empty((2, M), np.float32), _threshold_gradients(M, surrogate)
    summed = np.empty((1, M), np.float32)
    max_syn, max_mem, max_out = np.int32(0), np.int32(0), np.int32(0)
    for t in range(steps - 1, -1, -1):
        syn, mem = initial[0], initial[1]
        if t > 0:
            syn, mem = synapse[t - 1], membrane[t - 1]
        summed[0, start:stop] = grad_spikes[t, start:stop]
        if weights.shape[0] > 0 and t + 1 < steps:
            _multiply(first, last, out[t + 1], levels, codes, weights, first_sums, step, feedback)
            _add_to_spikes(first, last, size, grad_spikes[t], feedback, summed[0])
        sizes = (max_syn, max_mem, _threshold(start, stop, summed, mem, theta, surrogate, grids[1], thr))
        if team > 1:
            sizes, meetings = _maxima_of_all(member, team, counters, meetings, t, maxima, sizes)
        factors = (factors_of(sizes[0], levels), factors_of(sizes[1], levels), factors_of(sizes[2], levels))
        max_syn, max_mem, part_out = _back_one_step(
            t, start, stop, leaky, syn, mem, spikes, current, decays, theta, surrogate, grids, factors, old,
            thr, new, flat,
        )  # fmt: skip
        max_out, old, new = max(max_out, part_out), new, old
    if team > 1:
        (max_out, _, _), _ = _maxima_of_all(
            member, team, counters, meetings, 1, maxima, (max_out, np.int32(0), np.int32(0))
        )
    return max_out


CUBE = "float32[:,:,::1]"
# By the length of the grids' tuples, see `lif`, and the type of the codes, which are summed in twice as many bits; where the
# formats are not ordinary, the widest alone.
recurrent_forward = {
    (size, np.dtype(code)): compiled(
        f"int32(int64, int64, int64, b1, {MATRIX}, {code}[:,::1], {total}[::1], float32, {MATRIX}, {MATRIX}, float32, {grid},"
        f" {grid}, int32[:,:,::1], {CUBE})"
    )(_recurrent_forward)
    for size, grid in GRIDS.items()
    for code, total in (("int8", "int16"), ("int16", "int32"))
    if size == 2 or code == "int16"
}
# And the types of weights and sums, and the length of the surrogates: where the formats are not ordinary, the widest alone.
KINDS = {"int8": "float32", "float32": "float32", "float64": "float64"}
recurrent_backward = {
    (size, np.dtype(kind), length): compiled(
        f"int32(int64, int64, int64[::1], int32[:,:,::1], b1, {kind}[:,::1], int32[::1], float32, int8[:,::1], {total}[:,::1],"
        f" {', '.join([MATRIX] * 7)}, float32, {surrogate}, UniTuple({grid}, 4), {CUBE})"
    )(_recurrent_backward)
    for size, grid in GRIDS.items()
    for kind, total in KINDS.items()
    for length, surrogate in SURROGATES.items()
    if size == 2 or kind == "float64"
}
