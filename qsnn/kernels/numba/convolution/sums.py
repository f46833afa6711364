"""Jitted currents and errors of convolutions: what spikes and errors add up to. Kernels work on samples ``start`` to ``stop``.

Spikes are lists, see `qsnn.kernels.numba.products.products.Spikes`; maps of sums and tables: `geometry`. Sums are of integers.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.convolution.vectors import (
    SIDE,
    VECTOR_BYTES,
    add_multiples,
    add_runs,
    channels_first,
    channels_last,
)
from qsnn.kernels.numba.rounding.scalars import code_of
from qsnn.kernels.numba.runtime.compile import GRID, OPTIONS, compiled, compiled_for

LISTS = "Tuple((int64[::1], int64[::1], int32[::1]))"
LONG = "int64[::1]"
PLACES = f"Tuple(({LONG}, {LONG}, {LONG}, int64, int64))"  # `geometry.Places`
INPUTS = f"Tuple(({LONG}, {LONG}, int64, int64))"  # `geometry.InputPlaces`
WEIGHTS = "Tuple((int16[::1], int64, int64, float32))"  # a table, numbers in a run, rows of runs, and the step of a sum


@njit(**OPTIONS)
def aligned(size, zero):
    """Zeros from the start of a cache line on: no vector of whole pixels then lies in two."""
    memory = np.full(size + VECTOR_BYTES, zero)
    start = (-memory.ctypes.data % VECTOR_BYTES) // memory.itemsize
    return memory[start : start + size]


@njit(**OPTIONS)
def to_maps(sums, pixels, step, channels, out, place):
    """Sums (rows, columns, channels and more) to ``step`` times them as maps (channels, P), in ``out`` from ``place`` on."""
    size = pixels.size
    for shift in range(0, channels, SIDE):
        some, base = min(SIDE, channels - shift), place + shift * size
        for p in range(0, size - SIDE + 1, SIDE):
            channels_first(sums, pixels, p, shift, step, out, base + p, size, some)
        if size >= SIDE:
            p = size - SIDE
            channels_first(sums, pixels, p, shift, step, out, base + p, size, some)
        else:
            for p in range(size):
                for c in range(some):
                    out[base + c * size + p] = step * np.float32(sums[pixels[p] + shift + c])


@njit(**OPTIONS)
def sum_of_sample(r, lists, weights, places, sums):
    """The sum of the weights of sample ``r``'s spikes, in maps of ``sums``."""
    (starts, ends, indices), (table, run, taps, _), (_, runs, begins, row, _) = lists, weights, places
    sums[:] = 0
    vectors = run // (VECTOR_BYTES // sums.itemsize)
    for i in range(starts[r], ends[r]):
        n = indices[i]
        add_runs(sums, runs[n], -row, table, begins[n], run, taps, vectors)


@compiled_for(
    f"void(int64, int64, {LISTS}, {WEIGHTS}, {PLACES}, {{0}}, int64, float32[::1])",
    "int16",
    "int32",
)
def currents(start, stop, lists, weights, places, zero, channels, out):
    """Currents (S, O, H', W'), flat in ``out``. ``zero``: of the type of the sums."""
    sums, size = aligned(places[4], zero), places[0].size * channels
    for r in range(start, stop):
        sum_of_sample(r, lists, weights, places, sums)
        to_maps(sums, places[0], weights[3], channels, out, r * size)


@njit(**OPTIONS)
def _codes_of(grad, factors, grid, codes):
    for i in range(grad.size):
        codes[i] = np.int32(code_of(grad[i] * factors[0] * factors[1], grid))


@njit(**OPTIONS)
def _map_codes(codes, pixels, channels, maps):
    """Codes (channels to whole blocks, P) into the maps (rows, columns, channels to whole blocks)."""
    size = pixels.size
    for shift in range(0, channels, SIDE):
        for p in range(0, size - SIDE + 1, SIDE):
            channels_last(codes, shift * size + p, size, maps, pixels, p, shift)
        if size >= SIDE:
            channels_last(codes, shift * size + size - SIDE, size, maps, pixels, size - SIDE, shift)
        else:
            for p in range(size):
                for c in range(shift, min(shift + SIDE, channels)):
                    maps[pixels[p] + c] = codes[c * size + p]


@njit(**OPTIONS)
def _add_errors(r, lists, places, taps, run, maps, sums):
    """Add to the table of ``sums`` the errors, in ``maps``, around each of sample ``r``'s spikes."""
    (starts, ends, indices), (_, runs, begins, row, _) = lists, places
    for i in range(starts[r], ends[r]):
        n = indices[i]
        add_runs(sums, begins[n], run, maps, runs[n], -row, taps, run // SIDE)


@njit(**OPTIONS)
def _add_multiples(maps, places, depth, inputs, weights, sums, listed):
    """The ``sums`` of weights times errors at the inputs; errors go in pairs of neighbours of which one is not 0."""
    pairs, neurons, (corners, _, row, _), (table, run, side, _) = maps.view(np.int32), places[0], inputs, weights
    vectors, half = run // (2 * SIDE), depth // 2
    sums[:] = 0
    for p in range(neurons.size):
        count, first = 0, neurons[p] // 2
        for n in range(half):
            listed[count] = n  # always written, and kept only if the place moves on
            count += pairs[first + n] != 0
        add_multiples(sums, corners[p], row, table, side * run, pairs, first, listed, count, side, vectors)


@njit(**OPTIONS)
def _carry(totals, sums):
    for i in range(totals.size):
        totals[i] += sums[i]
    sums[:] = 0


@compiled(
    f"int64[::1](int64, int64, {LISTS}, float32[::1], UniTuple(float32, 2), {GRID}, UniTuple(int64, 5), {PLACES}, int64,"
    f" {INPUTS}, {WEIGHTS}, float32[::1])"
)
def errors(start, stop, lists, grad, factors, grid, sizes, places, limit, inputs, weights, out):
    """The sum of errors over some samples' spikes, as a table of runs, and the errors at the inputs, if ``out`` has room for
    them, (S, C, H, W), flat.

    ``grad`` (S, O, H', W'), flat; ``sizes``: C, O, O to whole blocks, rows of a kernel's runs, numbers of the table; ``limit``:
    samples whose sums fit 32 bits.
    """
    (num_inputs, channels, depth, taps, total), neurons = sizes, places[0]
    size = channels * neurons.size
    codes, maps = np.zeros(depth * neurons.size, np.int32), aligned(places[4], np.int16(0))
    sums, at_inputs = aligned(total, np.int32(0)), aligned(inputs[3], np.int32(0))
    totals, listed = np.zeros(total, np.int64), np.empty(depth // 2 + 1, np.int64)
    for r in range(start, stop):
        _codes_of(grad[r * size : (r + 1) * size], factors, grid, codes)
        _map_codes(codes, neurons, channels, maps)
        _add_errors(r, lists, places, taps, taps * depth, maps, sums)
        if (r + 1 - start) % limit == 0 or r + 1 == stop:
            _carry(totals, sums)
        if out.size:
            _add_multiples(maps, places, depth, inputs, weights, at_inputs, listed)
            to_maps(at_inputs, inputs[1], weights[3], num_inputs, out, r * num_inputs * inputs[1].size)
    return totals
