"""Weight gradients behind max-pooling, from the one place of each window that has an error: gather and add.

What a weight's kernel sees at a winner is a patch of the padded maps (H, W, C): k runs of k * C floats. Runs are read in
vectors, the last of which reads past the end of its run, into sums that nobody uses. Sums of codes are exact: some
winners in float32, all of them in double, so that no order of them matters. In full precision all is double.
"""
# mypy: allow-untyped-defs

import functools
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from qsnn.dynamics.local_readout import MembraneError
from qsnn.dynamics.traces import TraceParameters
from qsnn.kernels.numba.products.vectors import VECTOR_BYTES, add_scaled
from qsnn.kernels.numba.runtime.arrays import maps
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled
from qsnn.kernels.numba.runtime.openmp import share
from qsnn.quantization import symmetric, unsigned

EXACT = 2**24  # float32 holds all integers up to here
BLOCK_FLOATS = 2**17  # of padded maps: they should stay in the second-level cache
FEWEST = 16  # winners that are exact in float32, for which its speed is worth the trips to double
GROUPS = 4  # of samples in full precision, whose sums must not depend on the number of threads
MAX_WIDTH = 8  # vectors of sums at a time: they should stay in registers
CHANNELS = 64  # output maps at a time, so that memory is read in long runs
MAPS = "float32[:, :, :, ::1]"


@njit(**OPTIONS)
def _aligned(size, zero):
    """Zeros from the start of a cache line on: vectors of many channels then never lie in two."""
    memory = np.full(size + VECTOR_BYTES, zero)
    start = (-memory.ctypes.data % VECTOR_BYTES) // memory.itemsize
    return memory[start : start + size]


@njit(**OPTIONS)
def _write_codes(trace, maps, padding, scale, levels):
    """`local_gradient.trace_codes` of a sample's maps (H, W, C) into the middle of the padded ones."""
    for h in range(trace.shape[0]):
        row, out = trace[h].reshape(-1), maps[h + padding].reshape(-1)
        out = out[padding * trace.shape[2] :]
        if levels == 0:
            for i in range(row.size):
                out[i] = row[i]
        else:
            for i in range(row.size):
                out[i] = np.rint(row[i] / scale * levels)


@njit(**OPTIONS)
def _list_winners(error, winner, places, start, elsewhere, errors, offsets, counts):
    """Append the errors of a sample (Q, channels) that differ from ``elsewhere``, and where their patches begin."""
    for q in range(error.shape[0]):
        for c in range(counts.size):
            difference, n = error[q, c] - elsewhere, counts[c]
            errors[c, n] = difference
            offsets[c, n] = start + places[np.uint32(winner[q, c])]
            counts[c] = n + np.uint64(difference != 0)


@njit(**OPTIONS)
def _add_errors(biases, error):
    """The errors of a sample (Q, channels)."""
    for q in range(error.shape[0]):
        for c in range(biases.size):
            biases[c] += error[q, c]


@njit(**OPTIONS)
def _add_patches(totals, memory, shifts, errors, offsets, count, zeros, limit):
    """The winners of one output map: error times patch."""
    lanes = VECTOR_BYTES // errors.itemsize
    for n in range(0, count, limit):
        end = min(count, n + limit)
        for v in range(0, shifts.size, len(zeros)):
            add_scaled(zeros, totals[v * lanes :], memory, shifts[v:], errors, offsets, n, end)


def _add_winners(
    begin, end, error, winner, elsewhere, trace, padding, code, places, shifts, zeros, limit, block, totals, biases
):
    """Add to ``totals`` (groups, O, vectors * lanes) and ``biases`` (groups, O), a share of the samples for each group.

    ``error`` and ``winner``: (B, Q, O); ``code``: full scale and levels of the trace; ``places``: where in the padded
    maps the patch of each place begins; ``shifts``: where in a patch each vector does; ``zeros``: one for each vector
    that is summed at a time, in the type of the sums; ``limit``: the number of winners that is exact in it; ``block``:
    samples at a time.
    """
    B, H, W, C = trace.shape
    padded = (H + 2 * padding, W + 2 * padding, C)
    size = padded[0] * padded[1] * C
    memory = _aligned(block * size + VECTOR_BYTES, zeros[0])
    errors = np.full((CHANNELS, block * error.shape[1] + 1), zeros[0])
    offsets = np.zeros(errors.shape, np.int64)
    for group in range(begin, end):
        stop = B * (group + 1) // len(totals)
        for first in range(B * group // len(totals), stop, block):
            samples = range(first, min(stop, first + block))
            for b in samples:
                maps = memory[(b - first) * size : (b - first + 1) * size].reshape(padded)
                _write_codes(trace[b], maps, padding, code[0], code[1])
                _add_errors(biases[group], error[b])
            for channel in range(0, error.shape[2], CHANNELS):
                part = slice(channel, min(error.shape[2], channel + CHANNELS))
                counts = np.zeros(part.stop - channel, np.uint64)
                for b in samples:
                    there, start = (error[b, :, part], winner[b, :, part]), (b - first) * size
                    _list_winners(there[0], there[1], places, start, elsewhere, errors, offsets, counts)
                for c in range(counts.size):
                    listed, total = (errors[c], offsets[c], np.int64(counts[c])), totals[group, channel + c]
                    _add_patches(total, memory, shifts, listed[0], listed[1], listed[2], zeros, limit)


_kernels = {
    (kind, width): compiled(
        f"void(int64, int64, float32[:, :, ::1], int32[:, :, ::1], {kind}, {MAPS}, int64, UniTuple(float32, 2),"
        f" int64[::1], int64[::1], UniTuple({kind}, {width}), int64, int64, float64[:, :, ::1], float64[:, ::1])"
    )(_add_winners)
    for kind in ("float32", "float64")
    for width in range(1, MAX_WIDTH + 1)
}


@functools.cache
def _geometry(size: tuple[int, ...], width: int, channels: int, kernel: int, lanes: int) -> tuple[Any, Any, int]:
    """``places`` and ``shifts`` of the kernel for padded maps of a ``width``, and how many vectors are summed at a time."""
    places = (np.arange(size[0])[:, None] * width + np.arange(size[1])) * channels
    shifts = np.arange(kernel)[:, None] * (width * channels) + np.arange(0, kernel * channels, lanes)
    rounds = -(-shifts.size // MAX_WIDTH)
    at_a_time = -(-shifts.size // rounds)
    return places.reshape(-1), np.resize(shifts, rounds * at_a_time), at_a_time


def _exact_winners(elsewhere: float, error_bits: int | None, trace_bits: int | None) -> int:
    """So many products of codes have an exact sum in float32; 0 in full precision."""
    error, trace = symmetric(error_bits), unsigned(trace_bits)
    if error is None or trace is None:
        return 0
    return EXACT // (error.high * trace.high * (1 if elsewhere == 0 else 2))


def winner_products(
    error: MembraneError, trace: Tensor, kernel: int, padding: int, parameters: TraceParameters
) -> tuple[Tensor, Tensor]:
    """(O, C, k, k) in double: products of `local_gradient.trace_codes` with the errors at the winners, counted from
    ``elsewhere``; and (O), the sums of these errors."""
    at_winners, x, elsewhere = maps(error.at_winners), maps(trace), error.elsewhere.item()
    B, _, W, C = x.shape
    outputs, Q = at_winners.shape[3], at_winners.shape[1] * at_winners.shape[2]
    fmt, limit = (
        unsigned(parameters.membrane_trace_bits),
        _exact_winners(elsewhere, error.bits, parameters.membrane_trace_bits),
    )
    kind, limit = ("float32", limit) if limit >= FEWEST else ("float64", B * Q)
    lanes = VECTOR_BYTES // np.dtype(kind).itemsize
    places, shifts, width = _geometry(error.size, W + 2 * padding, C, kernel, lanes)
    block = max(1, min(limit // Q, BLOCK_FLOATS // ((x.shape[1] + 2 * padding) * (W + 2 * padding) * C)))
    exact = error.bits is not None and fmt is not None
    groups = min(B, torch.get_num_threads() if exact else GROUPS)
    totals, biases = np.zeros((groups, outputs, shifts.size * lanes)), np.zeros((groups, outputs))
    share(
        _kernels[kind, width], groups, 5 * B * Q * outputs * shifts.size, at_winners.reshape(B, Q, outputs),
        maps(error.winner).reshape(B, Q, outputs), elsewhere, x, padding,
        (parameters.membrane_full_scale, 0.0 if fmt is None else float(fmt.levels)),
        places, shifts, (0.0,) * width, limit, block, totals, biases,
    )  # fmt: skip
    used = totals.sum(0)[:, : -(-kernel * C // lanes) * lanes * kernel].reshape(outputs, kernel, -1)[:, :, : kernel * C]
    sums = torch.from_numpy(used.reshape(outputs, kernel, kernel, C)).permute(0, 3, 1, 2)
    return sums, torch.from_numpy(biases.sum(0))
