"""Weight gradients of convolutions of integer codes in 16-bit products, equal to `code_products.correlate_codes`.

Words (`dot_tiles`) hold the codes of two samples at the same place: of the input over (padded H, padded W, C), where what a
row of a kernel sees, k * C words, lies side by side and is broadcast; of the errors over (blocks, H', W', outputs), of as
many output channels as a tile has sums. Sums are taken over all places of some pairs of samples at a time.
"""
# mypy: allow-untyped-defs

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from qsnn.kernels.numba.local.convolve import LARGEST, LARGEST_SUM, MAPS, seen_rows, write_codes
from qsnn.kernels.numba.local.dot_tiles import OUTPUTS, dot_tile, words_at_a_time
from qsnn.kernels.numba.runtime.arrays import maps
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled
from qsnn.kernels.numba.runtime.openmp import share

BLOCK_WORDS = 2**18  # of input and errors at a time: they should stay in the second-level cache


@njit(**OPTIONS)
def _interleave(one, other, words):
    """Words of the codes of two samples."""
    for i in range(words.size):
        words[i] = np.int32(one[i]) & np.int32(0xFFFF) | np.int32(other[i]) << np.int32(16)


@njit(**OPTIONS)
def _pack_maps(source, b, end, code, padding, rows, words):
    """The words (padded H, padded W, C) of the samples b and b + 1, which is zero from ``end`` on; ``rows``: room for two."""
    for y in range(source.shape[1]):
        write_codes(source[b, y].reshape(-1), rows[0], code[0], code[1])
        if b + 1 < end:
            write_codes(source[b + 1, y].reshape(-1), rows[1], code[0], code[1])
        else:
            rows[1] = 0
        start = padding * source.shape[3]
        _interleave(rows[0], rows[1], words[y + padding].reshape(-1)[start : start + rows.shape[1]])


@njit(**OPTIONS)
def _pack_row(one, other, levels, words, biases):
    """The words of the errors of two samples at a place, which are added to ``biases``."""
    for i in range(words.size):
        code, second = np.int32(np.rint(one[i] * levels)), np.int32(np.rint(other[i] * levels))
        words[i] = code & np.int32(0xFFFF) | second << np.int32(16)
        biases[i] += code + second


@njit(**OPTIONS)
def _pack_errors(one, other, levels, words, biases):
    """The words (blocks, places, OUTPUTS) of two samples (places, O)."""
    sums = np.zeros(biases.size, np.int32)
    for low in range(0, biases.size, OUTPUTS):
        part = slice(low, min(biases.size, low + OUTPUTS))
        for place in range(one.shape[0]):
            row = words[low // OUTPUTS, place, : part.stop - low]
            _pack_row(one[place, part], other[place, part], levels, row, sums[part])
    for o in range(biases.size):
        biases[o] += sums[o]


@njit(**OPTIONS)
def _add_tile(sums, skip, low, totals):
    """Add the ``sums`` of a tile from ``low`` on, without those of its first words that another tile has had."""
    for n in range(skip * OUTPUTS, sums.size):
        totals[low * OUTPUTS + n] += sums[n]


@njit(**OPTIONS)
def _add_pairs(words, errors, pairs, size, padding, taps, zeros, sums, totals):
    """Add to ``totals`` (blocks, k, k * C * OUTPUTS) the products of some ``pairs`` of samples; ``words`` (pairs, padded H,
    padded W, C) and ``errors`` (blocks, pairs, H' * W', OUTPUTS); ``size``: H' and W'."""
    _, height, width, channels = words.shape
    places, tile, row = size[0] * size[1], len(zeros), size[1] * OUTPUTS
    flat, vectors = words.reshape(-1), errors.reshape(-1)
    for i in range(taps):
        y, seen = seen_rows(
            i, size[0], padding, height - 2 * padding
        )  # of all places those that show more than padding
        for block in range(errors.shape[0]):
            for low in range(0, taps * channels, tile):
                first = min(low, taps * channels - tile)
                dot_tile(
                    zeros, sums, flat, (y + i) * width * channels + first,
                    (height * width * channels, width * channels, channels),
                    vectors, block * errors.shape[1] * places * OUTPUTS + y * row, (places * OUTPUTS, row, OUTPUTS),
                    (pairs, seen, size[1]),
                )  # fmt: skip
                _add_tile(sums, low - first, first, totals[block, i])


def _correlate(begin, end, error, levels, source, code, padding, size, taps, at_a_time, zeros, totals, biases):
    """Fill ``totals`` (groups, blocks, k, k * C * OUTPUTS) and ``biases`` (groups, O): a share of the samples for each group.

    ``error`` (B, places, O) times ``levels``: codes. ``source`` (B, H, W, C) and ``code``: as in `convolve`; ``size``: H' and
    W'; ``at_a_time``: pairs of samples; ``zeros``: one for each word at a time.
    """
    B, H, W, C = source.shape
    outputs, places = error.shape[2], error.shape[1]
    words = np.zeros((at_a_time, H + 2 * padding, W + 2 * padding, C), np.int32)
    errors = np.zeros((totals.shape[1], at_a_time, places, OUTPUTS), np.int32)
    rows, nothing = np.zeros((2, W * C), np.int16), np.zeros((places, outputs), np.float32)
    sums = np.zeros(len(zeros) * OUTPUTS, np.int32)
    for group in range(begin, end):
        stop = B * (group + 1) // len(totals)
        for first in range(B * group // len(totals), stop, 2 * at_a_time):
            pairs = min(at_a_time, (stop - first + 1) // 2)
            for n in range(pairs):
                b = first + 2 * n
                _pack_maps(source, b, stop, code, padding, rows, words[n])
                other = error[b + 1] if b + 1 < stop else nothing
                _pack_errors(error[b], other, levels, errors[:, n], biases[group])
            _add_pairs(words, errors, pairs, size, padding, taps, zeros, sums, totals[group])


@njit(**OPTIONS)
def _unpack(begin, end, totals, unit, out):
    """``out`` (O, C, k, k) of the blocks ``begin`` to ``end``: ``unit`` times the sum of the groups' totals."""
    outputs, channels, taps, _ = out.shape
    for block in range(begin, end):
        low = block * OUTPUTS
        part = out[low : low + OUTPUTS].reshape(-1)
        step, shown = np.uint64(channels * taps * taps), np.uint64(min(OUTPUTS, outputs - low))
        for c in range(channels):
            for i in range(taps):
                for j in range(taps):
                    start, place = (j * channels + c) * OUTPUTS, np.uint64((c * taps + i) * taps + j)
                    for group in range(1, len(totals)):
                        for n in range(OUTPUTS):
                            totals[0, block, i, start + n] += totals[group, block, i, start + n]
                    row = totals[0, block, i, start : start + OUTPUTS]
                    for n in range(shown):
                        part[place + n * step] = row[n] * unit


_unpack_kernels = {
    (kind, out): compiled(f"void(int64, int64, {kind}[:, :, :, ::1], float64, {out}[:, :, :, ::1])")(_unpack.py_func)
    for kind in ("int32", "int64")
    for out in ("float32", "int64")
}


class _Kernels(dict[tuple[str, int], Any]):
    """`_correlate` by type of its totals and number of words at a time, made as they are asked for."""

    def __missing__(self, key: tuple[str, int]) -> Any:
        self[key] = compiled(
            f"void(int64, int64, float32[:, :, ::1], float32, {MAPS}, UniTuple(float32, 2), int64,"
            f" UniTuple(int64, 2), int64, int64, UniTuple(int16, {key[1]}), {key[0]}[:, :, :, ::1], int64[:, ::1])"
        )(_correlate)
        return self[key]


_kernels = _Kernels()


class Products(NamedTuple):
    """Sums of products (groups, blocks, k, k * C * OUTPUTS) and of errors (groups, O)."""

    totals: np.ndarray
    biases: np.ndarray


def sum_products(
    error: Tensor, levels: float, error_size: int,
    trace: Tensor, largest: int, code: tuple[float, float], taps: int, padding: int,
) -> Products | None:  # fmt: skip
    """Products of the ``error`` (B, O, H', W'), codes over ``levels`` of a size up to ``error_size``, with the ``trace``
    (B, C, H, W), whose codes have one up to ``largest``.

    None where 32 bits might not hold their sums.
    """
    x, errors = maps(trace), maps(error)
    if taps == 1 and padding == 0:  # all pixels are alike: as few samples as threads can share
        samples = next(n for n in (2 * torch.get_num_threads(), 2, len(x)) if math.prod(x.shape[:3]) % n == 0)
        x, errors = (part.reshape(samples, 1, -1, part.shape[3]) for part in (x, errors))
    (B, H, W, C), (_, *size, outputs) = x.shape, errors.shape
    places = math.prod(size)
    bound = max(1, largest * error_size * places)  # of a sample
    fitting = LARGEST_SUM // (2 * bound)
    if fitting == 0 or max(largest, error_size) > LARGEST:
        return None
    blocks, groups = -(-outputs // OUTPUTS), min(-(-B // 2), torch.get_num_threads())
    words = (H + 2 * padding) * (W + 2 * padding) * C + places * blocks * OUTPUTS
    pairs = max(1, min(fitting, -(-B // 2), BLOCK_WORDS // words))
    kind = "int32" if fitting >= -(-B // 2) else "int64"
    totals = np.zeros((groups, blocks, taps, taps * C * OUTPUTS), kind)
    biases, tile = np.zeros((groups, outputs), np.int64), words_at_a_time(taps * C)
    share(
        _kernels[kind, tile], groups, B * places * outputs * C * taps * taps // 25,
        errors.reshape(B, places, outputs), levels, x, code, padding, tuple(size), taps, pairs, (0,) * tile, totals, biases,
    )  # fmt: skip
    return Products(totals, biases)


def gradient(products: Products, unit: float, out: Tensor) -> Tensor:
    """``out`` (O, C, k, k), float32 or int64, filled with ``unit`` times the sums, rounded once."""
    kernel = _unpack_kernels[products.totals.dtype.name, "float32" if out.is_floating_point() else "int64"]
    share(kernel, products.totals.shape[1], 20 * out.numel(), products.totals, unit, out.numpy())
    return out
