"""Weight gradients behind max-pooling as in `winners`, in 16-bit products: two winners of an output map at a time.

What a weight's kernel sees at a winner is a patch of the padded maps (H, W, C) of codes: k runs of k * C of them. The
vectors of two patches are interleaved, so that a word (`dot_tiles`) holds the same place of both, and multiplied with the
pair of their errors. Runs are read in vectors, the last of which reads past the end of its run, into sums that nobody uses.
"""
# mypy: allow-untyped-defs

import functools
from typing import Any, NamedTuple

import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from torch import Tensor

from qsnn.dynamics.local_readout import MembraneError
from qsnn.kernels.numba.local.convolve import LARGEST, LARGEST_SUM, MAPS, write_codes
from qsnn.kernels.numba.local.dot_tiles import INT16, INT32, INT64, LANES, WORDS, add_products, broadcast, loop
from qsnn.kernels.numba.runtime.arrays import array, maps
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled
from qsnn.kernels.numba.runtime.openmp import share

CODES = 2 * LANES  # in a vector
MAX_WIDTH = 8 if LANES == 16 else 4  # vectors of codes at a time: their sums should stay in registers
BLOCK_CODES = 2**18  # of padded maps: they should stay in the second-level cache
CHANNELS = 64  # output maps at a time, so that memory is read in long runs
SHORTEST_RUN = 24  # codes
HALF = 8  # codes in the half of a vector's 128 bits that one interleaving takes


def _mask(numbers):
    return ir.Constant(ir.VectorType(INT32, len(numbers)), [INT32(n) for n in numbers])


def _interleaved(builder, one, other):
    """Two vectors of words: the lower and the upper half of every 128 bits of both."""
    for first in (0, HALF // 2):
        places = [start + first + n for start in range(0, CODES, HALF) for n in range(HALF // 2)]
        order = [place + second for place in places for second in (0, CODES)]
        yield builder.bitcast(builder.shuffle_vector(one, other, _mask(order)), WORDS)


def _in_order(builder, lower, upper):
    """The sums that `_interleaved` has brought into halves, as the codes lay."""
    wanted = [
        (n // HALF) * (HALF // 2) + n % HALF - (0 if n % HALF < HALF // 2 else HALF // 2 - LANES) for n in range(CODES)
    ]
    return builder.shuffle_vector(lower, upper, _mask(wanted))


@intrinsic
def add_patches(typing, zeros, totals, codes, shifts, errors, offsets, begin, end):
    """``totals[v, :] += sum over n of errors[n] * codes[offsets[n] + shifts[v] :][:CODES]``, n from 2 ``begin`` to 2 ``end``.

    For as many v as the tuple ``zeros`` is long; ``totals`` (int32 or int64), ``codes`` and ``errors`` (int16), ``shifts`` and
    ``offsets`` (int64) are flat arrays; ``begin`` is less than ``end``. Sums of a call are modulo 2^32.
    """
    signature = types.void(zeros, totals, codes, shifts, errors, offsets, begin, end)

    def generate(context, builder, signature, arguments):
        totals, codes, shifts, errors, offsets = (
            context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in range(1, 6)
        )
        vector, width = ir.VectorType(INT16, CODES), signature.args[0].count
        sums = [[cgutils.alloca_once_value(builder, ir.Constant(WORDS, None)) for _ in range(2)] for _ in range(width)]
        starts = [builder.gep(codes, [builder.load(builder.gep(shifts, [INT64(v)]))]) for v in range(width)]
        pairs = builder.bitcast(errors, INT32.as_pointer())
        with loop(builder, builder.sub(arguments[7], arguments[6]), True) as index:
            n = builder.add(index, arguments[6])
            error = broadcast(builder, builder.load(builder.gep(pairs, [n]), align=2))
            first = builder.mul(n, INT64(2))
            places = [builder.load(builder.gep(offsets, [builder.add(first, INT64(m))])) for m in range(2)]
            for start, halves in zip(starts, sums, strict=True):
                pointers = [builder.bitcast(builder.gep(start, [place]), vector.as_pointer()) for place in places]
                words = _interleaved(builder, *(builder.load(pointer, align=2) for pointer in pointers))
                for total, part in zip(halves, words, strict=True):
                    builder.store(add_products(builder, builder.load(total), part, error), total)
        kind = context.get_value_type(signature.args[1].dtype)
        wide = ir.VectorType(kind, CODES)
        for v, halves in enumerate(sums):
            more = _in_order(builder, *(builder.load(half) for half in halves))
            more = more if kind == INT32 else builder.sext(more, wide)
            place = builder.bitcast(builder.gep(totals, [INT64(v * CODES)]), wide.as_pointer())
            builder.store(builder.add(builder.load(place, align=4), more), place, align=4)
        return context.get_dummy_value()

    return signature, generate


@njit(**OPTIONS)
def _list_winners(error, winner, levels, places, start, elsewhere, errors, offsets, counts, biases):
    """Append the error codes of a sample (Q, channels) that differ from ``elsewhere``, and where their patches begin."""
    for q in range(error.shape[0]):
        for c in range(counts.size):
            code = np.int32(np.rint(error[q, c] * levels))
            biases[c] += code
            n = counts[c]
            errors[c, n] = code - elsewhere
            offsets[c, n] = start + places[np.uint32(winner[q, c])]
            counts[c] = n + np.uint64(code != elsewhere)


@njit(**OPTIONS)
def _add_channel(totals, codes, shifts, errors, offsets, count, zeros, limit):
    """The winners of one output map: errors times patches."""
    errors[count], offsets[count] = 0, 0  # the partner of an odd one
    pairs = (count + 1) // 2
    for n in range(0, pairs, limit):
        for v in range(0, shifts.size, len(zeros)):
            add_patches(zeros, totals[v * CODES :], codes, shifts[v:], errors, offsets, n, min(pairs, n + limit))


@njit(**OPTIONS)
def _pack_sample(trace, unit, levels, padding, codes):
    """The codes of a sample (H, W, C) into the middle of the padded maps."""
    height, width, channels = trace.shape
    start = padding * channels
    for y in range(height):
        row = codes[y + padding].reshape(-1)
        write_codes(trace[y].reshape(-1), row[start : start + width * channels], unit, levels)


@njit(**OPTIONS)
def _add_part(error, winner, elsewhere, levels, places, size, shifts, zeros, limit, room, codes, totals, biases):
    """The winners of some samples (n, Q, channels) and output maps; ``room``: errors and offsets of each map, with space."""
    errors, offsets = room
    counts = np.zeros(biases.size, np.uint64)
    for n in range(len(error)):
        _list_winners(error[n], winner[n], levels, places, n * size, elsewhere, errors, offsets, counts, biases)
    for c in range(counts.size):
        _add_channel(totals[c], codes, shifts, errors[c], offsets[c], np.int64(counts[c]), zeros, limit)


def _add_winners(
    begin, end, error, winner, elsewhere, levels, trace, padding, code, places, shifts, zeros, limit, block, totals, biases
):  # fmt: skip
    """Add to ``totals`` (groups, O, vectors * CODES) and ``biases`` (groups, O), a share of the samples for each group.

    ``error`` and ``winner``: (B, Q, O), times ``levels`` codes, like ``elsewhere``; ``trace`` (B, H, W, C) and its ``code``:
    full scale and levels; ``places``: where in the padded maps the patch of each place begins; ``shifts``: where in a patch
    each vector does; ``zeros``: one for each vector that is summed at a time; ``limit``: pairs of winners whose sum surely
    fits; ``block``: samples at a time.
    """
    B, H, W, C = trace.shape
    padded = (H + 2 * padding, W + 2 * padding, C)
    size = padded[0] * padded[1] * C
    codes, room = np.zeros(block * size + CODES, np.int16), (CHANNELS, block * error.shape[1] + 2)
    lists = np.zeros(room, np.int16), np.zeros(room, np.int64)
    for group in range(begin, end):
        stop = B * (group + 1) // len(totals)
        for first in range(B * group // len(totals), stop, block):
            some = slice(first, min(stop, first + block))
            for b in range(some.start, some.stop):
                sample = codes[(b - first) * size : (b - first + 1) * size].reshape(padded)
                _pack_sample(trace[b], code[0], code[1], padding, sample)
            for channel in range(0, error.shape[2], CHANNELS):
                part = slice(channel, min(error.shape[2], channel + CHANNELS))
                _add_part(
                    error[some, :, part], winner[some, :, part], elsewhere, levels, places, size, shifts, zeros, limit,
                    lists, codes, totals[group, part], biases[group, part],
                )  # fmt: skip


@njit(**OPTIONS)
def _unpack(begin, end, totals, run, rest, unit, out):
    """The channels ``begin`` to ``end`` of ``out`` (O, C, k, k): ``unit`` times all groups' totals and ``rest`` (C, k, k)."""
    _, channels, taps, _ = out.shape
    step = np.uint64(taps * taps)
    for o in range(begin, end):
        weights = out[o].reshape(-1)
        for i in range(taps):
            for j in range(taps):
                part, place = slice(i * run + j * channels, i * run + (j + 1) * channels), np.uint64(i * taps + j)
                for group in range(1, len(totals)):
                    totals[0, o, part] += totals[group, o, part]
                row = totals[0, o, part]
                for c in range(np.uint64(channels)):
                    weights[place + c * step] = (row[c] + rest[c, i, j]) * unit


_unpack_kernels = {
    (kind, out): compiled(
        f"void(int64, int64, {kind}[:, :, ::1], int64, float64[:, :, ::1], float64, {out}[:, :, :, ::1])"
    )(_unpack.py_func)
    for kind in ("int32", "int64")
    for out in ("float32", "int64")
}


class _Kernels(dict[tuple[str, int], Any]):
    """`_add_winners` by type of its totals and number of vectors at a time, made as they are asked for."""

    def __missing__(self, key: tuple[str, int]) -> Any:
        self[key] = compiled(
            f"void(int64, int64, float32[:, :, ::1], int32[:, :, ::1], int32, float32, {MAPS}, int64, UniTuple(float32, 2),"
            f" int64[::1], int64[::1], UniTuple(int16, {key[1]}), int64, int64, {key[0]}[:, :, ::1], int64[:, ::1])"
        )(_add_winners)
        return self[key]


_kernels = _Kernels()


@functools.cache
def _geometry(size: tuple[int, ...], width: int, channels: int, kernel: int) -> tuple[Any, Any, int]:
    """``places`` and ``shifts`` of the kernel for padded maps of a ``width``, and how many vectors are summed at a time."""
    places = (np.arange(size[0])[:, None] * width + np.arange(size[1])) * channels
    shifts = np.arange(kernel)[:, None] * (width * channels) + np.arange(0, kernel * channels, CODES)
    rounds = -(-shifts.size // MAX_WIDTH)
    at_a_time = -(-shifts.size // rounds)
    return places.reshape(-1), np.resize(shifts, rounds * at_a_time), at_a_time


def is_worth_it(kernel: int, channels: int) -> bool:
    """Whether runs are long enough: else interleaving, and what vectors read beyond them, take more time than is saved."""
    run = kernel * channels
    return run >= SHORTEST_RUN and 4 * run >= 3 * -(-run // CODES) * CODES


class Products(NamedTuple):
    """Sums of products (groups, O, k * ``run`` and more) and of errors (groups, O)."""

    totals: np.ndarray
    biases: np.ndarray
    run: int


def sum_products(
    error: MembraneError, levels: int, trace: Tensor, largest: int, code: tuple[float, float], kernel: int, padding: int
) -> Products | None:
    """Products of codes of the ``trace``, of a size up to ``largest``, with those of the errors at the winners, counted from
    ``elsewhere``; and the sums of these errors. None where 32 bits might not hold them."""
    at_winners, x = maps(error.at_winners), maps(trace)
    B, H, W, C = x.shape
    outputs, Q = at_winners.shape[3], at_winners.shape[1] * at_winners.shape[2]
    elsewhere = round(error.elsewhere.item() * levels)
    highest = levels + abs(elsewhere)
    limit = LARGEST_SUM // (2 * highest * max(1, largest))
    if limit == 0 or max(highest, largest) > LARGEST:
        return None
    places, shifts, width = _geometry(error.size, W + 2 * padding, C, kernel)
    block = max(1, min(B, BLOCK_CODES // ((H + 2 * padding) * (W + 2 * padding) * C)))
    groups, kind = min(B, torch.get_num_threads()), "int32" if 2 * limit >= B * Q else "int64"
    totals, biases = np.zeros((groups, outputs, shifts.size * CODES), kind), np.zeros((groups, outputs), np.int64)
    share(
        _kernels[kind, width], groups, 3 * B * Q * outputs * shifts.size, at_winners.reshape(B, Q, outputs),
        maps(error.winner).reshape(B, Q, outputs), elsewhere, levels, x, padding, code, places, shifts, (0,) * width,
        limit, block, totals, biases,
    )  # fmt: skip
    return Products(totals, biases, -(-kernel * C // CODES) * CODES)


def gradient(products: Products, rest: Tensor | None, unit: float, out: Tensor) -> Tensor:
    """``out`` (O, C, k, k), float32 or int64, filled with ``unit`` times the sums and the integers ``rest`` (C, k, k), rounded
    once."""
    more = np.zeros(out.shape[1:]) if rest is None else array(rest)
    kernel = _unpack_kernels[products.totals.dtype.name, "float32" if out.is_floating_point() else "int64"]
    share(kernel, len(out), 20 * out.numel(), products.totals, products.run, more, unit, out.numpy())
    return out
