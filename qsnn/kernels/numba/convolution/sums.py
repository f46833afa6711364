"""Jitted currents and errors of convolutions: what spikes and errors add up to. Kernels work on samples ``start`` to ``stop``.

Spikes are lists, see `qsnn.kernels.numba.products.products.Spikes`. Maps of sums and tables: `geometry`. All sums are of integers.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.convolution.vectors import (
    SIDE,
    VECTOR_BYTES,
    add_products,
    add_runs,
    channels_first,
    channels_last,
)
from qsnn.kernels.numba.rounding.scalars import code_of
from qsnn.kernels.numba.runtime.compile import GRID, MATRIX, OPTIONS, compiled, compiled_for

LISTS = "int64[::1], int64[::1], int32[::1]"
LONG = "int64[::1]"


@njit(**OPTIONS)
def aligned(size, zero):
    """Zeros from the start of a cache line on: no vector of whole pixels then lies in two."""
    memory = np.full(size + VECTOR_BYTES, zero)
    start = (-memory.ctypes.data % VECTOR_BYTES) // memory.itemsize
    return memory[start : start + size]


@njit(**OPTIONS)
def to_maps(sums, neurons, depth, step, channels, out, place):
    """Sums (rows, columns, depth) to ``step`` times them as maps (channels, P), in ``out`` from ``place`` on."""
    size = neurons.size
    for shift in range(0, channels, SIDE):
        some, base = min(SIDE, channels - shift), place + shift * size
        for p in range(0, size - SIDE + 1, SIDE):
            channels_first(sums, neurons, p, shift, step, out, base + p, size, some)
        if size >= SIDE:
            p = size - SIDE
            channels_first(sums, neurons, p, shift, step, out, base + p, size, some)
        else:
            for p in range(size):
                for c in range(some):
                    out[base + c * size + p] = step * np.float32(sums[neurons[p] + shift + c])


@njit(**OPTIONS)
def sum_of_sample(r, lists, table, run, taps, runs, weights, row, sums):
    """Add the weights of sample ``r``'s spikes to cleared ``sums``."""
    starts, ends, indices = lists
    sums[:] = 0
    vectors = run // (64 // sums.itemsize)
    for i in range(starts[r], ends[r]):
        n = indices[i]
        add_runs(sums, runs[n], -row, table, weights[n], run, taps, vectors)


@compiled_for(
    f"void(int64, int64, Tuple(({LISTS})), int16[::1], int64, int64, {LONG}, {LONG}, {LONG}, int64, {{0}}[::1], int64, int64, float32,"
    " float32[::1])",
    "int16",
    "int32",
)
def currents(start, stop, lists, table, run, taps, neurons, runs, weights, row, kind, depth, channels, step, out):
    """Currents (S, O, H', W'), flat in ``out``. ``kind``: an array as large as the maps of sums, of their type."""
    sums, size = aligned(kind.size, kind[0]), neurons.size * channels
    for r in range(start, stop):
        sum_of_sample(r, lists, table, run, taps, runs, weights, row, sums)
        to_maps(sums, neurons, depth, step, channels, out, r * size)


@njit(**OPTIONS)
def _codes_of(grad, factors, grid, codes):
    for i in range(grad.size):
        codes[i] = np.int32(code_of(grad[i] * factors[0] * factors[1], grid))


@njit(**OPTIONS)
def _map_codes(codes, neurons, channels, errors):
    """Codes (channels to whole blocks, P) into the maps (rows, columns, depth)."""
    size = neurons.size
    for shift in range(0, channels, SIDE):
        for p in range(0, size - SIDE + 1, SIDE):
            channels_last(codes, shift * size + p, size, errors, neurons, p, shift)
        if size >= SIDE:
            channels_last(codes, shift * size + size - SIDE, size, errors, neurons, size - SIDE, shift)
        else:
            for p in range(size):
                for c in range(shift, min(shift + SIDE, channels)):
                    errors[neurons[p] + c] = codes[c * size + p]


@njit(**OPTIONS)
def _add_pairs(errors, pairs, neurons, depth, places, row, table, run, side, sums, listed):
    """Add what the errors of a sample, pairs of neighbours of which one is not 0, are at the inputs."""
    vectors, half = run // (2 * SIDE), depth // 2
    sums[:] = 0
    for p in range(neurons.size):
        count, first = 0, neurons[p] // 2
        for n in range(half):
            listed[count] = n
            count += pairs[first + n] != 0
        for i in range(count):
            n = listed[i]
            add_products(sums, places[p], row, table, n * side * run, pairs[first + n], side, vectors)


@compiled(
    f"int64[::1](int64, int64, Tuple(({LISTS})), float32[::1], UniTuple(float32, 2), {GRID}, int64, int64, {LONG}, {LONG}, {LONG},"
    f" int64, int64, int64, int64, int64, int64, {LONG}, {LONG}, int64, int64, int64, int16[::1], int64, int64, float32, float32[::1])"
)
def errors(
    start, stop, lists, grad, factors, grid, channels, depth, neurons, runs, weights, row, size, taps, run, total, limit,
    in_neurons, in_pixels, in_row, in_size, inputs, in_table, in_run, side, step, out,
):  # fmt: skip
    """Sums of errors over the spikes of some samples, as a table of runs of ``total`` numbers, and the errors at the inputs, flat in
    ``out`` (S, C, H, W), if that has any.

    ``grad`` (S, O, H', W'), flat; ``limit``: samples whose sums fit 32 bits.
    """
    starts, ends, indices = lists
    pixels = neurons.size
    codes = np.zeros(depth * pixels, np.int32)
    maps = aligned(size, np.int16(0))
    pairs, listed = maps.view(np.int32), np.empty(depth // 2 + 1, np.int64)
    sums, at_inputs = aligned(total, np.int32(0)), aligned(in_size, np.int32(0))
    totals = np.zeros(total, np.int64)
    for r in range(start, stop):
        _codes_of(grad[r * channels * pixels : (r + 1) * channels * pixels], factors, grid, codes)
        _map_codes(codes, neurons, channels, maps)
        for i in range(starts[r], ends[r]):
            n = indices[i]
            add_runs(sums, weights[n], run, maps, runs[n], -row, taps, run // SIDE)
        if (r + 1 - start) % limit == 0 or r + 1 == stop:
            for i in range(total):
                totals[i] += sums[i]
            sums[:] = 0
        if out.size:
            _add_pairs(maps, pairs, neurons, depth, in_neurons, in_row, in_table, in_run, side, at_inputs, listed)
            to_maps(at_inputs, in_pixels, inputs, step, inputs, out, r * inputs * in_pixels.size)
    return totals
