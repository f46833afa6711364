"""Convolutions of integer codes in 16-bit products and 32-bit sums, equal to `code_products.convolve_codes`.

Words (`dot_tiles`) hold the codes of two neighbouring input channels. Input: words (planes, H, W) of the padded maps, in
which the pixels of a row, one broadcast each, lie side by side. Weights: words (blocks, planes, k, k, outputs) of as many
output channels as a tile has sums.
"""
# mypy: allow-untyped-defs

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from qsnn.kernels.numba.local.dot_tiles import OUTPUTS, dot_tile, words_at_a_time, write_scaled
from qsnn.kernels.numba.runtime.arrays import maps
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled
from qsnn.kernels.numba.runtime.openmp import share

LARGEST = 2**15 - 1  # code in 16 bits
LARGEST_SUM = 2**31 - 1
BLOCK_WORDS = 2**16  # of input at a time: they should stay in the second-level cache together with a block of weights
MAPS, WORDS = "float32[:, :, :, ::1]", "int32[::1]"


@njit(**OPTIONS)
def write_codes(row, codes, unit, levels):
    """``rint(x / unit * levels)`` of floats on that grid."""
    for i in range(row.size):
        codes[i] = np.int16(np.rint(row[i] / unit * levels))


@njit(**OPTIONS)
def _sizes(codes):
    """The sum and the largest of the sizes of codes."""
    total, largest = np.int64(0), np.int32(0)
    for i in range(codes.size):
        size = abs(np.int32(codes[i]))
        total += size
        largest = max(largest, size)
    return total, largest


@compiled(f"void(int64, int64, {MAPS}, float32, float32, {WORDS}, int64[:, ::1])")
def _pack_weights(begin, end, weights, unit, levels, words, sizes):
    """The words of the output channels ``begin`` to ``end`` of ``weights`` (O, k, k, C), and their ``sizes``: the sum and the
    largest of the sizes of the codes of each channel."""
    _, rows, columns, channels = weights.shape
    taps, planes = rows * columns, (channels + 1) // 2
    codes = np.zeros((taps, 2 * planes), np.int16)
    row = codes.reshape(-1)
    for o in range(begin, end):
        if channels == 2 * planes:
            write_codes(weights[o].reshape(-1), row, unit, levels)
        else:
            for tap in range(taps):
                write_codes(weights[o, tap // columns, tap % columns], codes[tap, :channels], unit, levels)
        sizes[o, 0], sizes[o, 1] = _sizes(row)
        pairs = row.view(np.int32).reshape((taps, planes))
        start = (o // OUTPUTS) * planes * taps * OUTPUTS + o % OUTPUTS
        for tap in range(taps):
            for plane in range(planes):
                words[start + (plane * taps + tap) * OUTPUTS] = pairs[tap, plane]


@njit(**OPTIONS)
def _pack_maps(sample, unit, levels, padding, codes, words):
    """The words (planes, padded H, padded W) of a sample (H, W, C); ``codes``: room for a row of them, zeros at first."""
    height, width, channels = sample.shape
    planes = words.shape[0]
    for y in range(height):
        if channels == 2 * planes:
            write_codes(sample[y].reshape(-1), codes, unit, levels)
        else:
            for x in range(width):
                write_codes(sample[y, x], codes[x * 2 * planes : x * 2 * planes + channels], unit, levels)
        pairs = codes.view(np.int32).reshape((width, planes))
        for plane in range(planes):
            row = words[plane, y + padding]
            for x in range(width):
                row[x + padding] = pairs[x, plane]


@njit(**OPTIONS)
def _write_pixel(sums, unit, bias, pixel):
    """``unit`` times the ``sums`` of a pixel plus ``bias``."""
    for n in range(pixel.size):
        pixel[n] = sums[n] * unit + bias[n]


@njit(**OPTIONS)
def _write_tile(sums, unit, bias, pixels, start, step, fast):
    """The pixels of a tile: ``bias.size`` outputs each, ``step`` numbers from one to the next."""
    for t in range(sums.size // OUTPUTS):
        place = start + t * step
        if fast:
            write_scaled(sums, t * OUTPUTS, unit, bias, pixels, place)
        else:
            _write_pixel(sums[t * OUTPUTS : (t + 1) * OUTPUTS], unit, bias, pixels[place : place + bias.size])


@njit(**OPTIONS)
def _convolve_tile(words, first, padded, weights, block, taps, rows, limit, zeros, sums, totals):
    """``sums`` of a tile, from the words from ``first`` on and a ``block`` of the weights; ``padded``: planes, H and W;
    ``rows``: first and number of those of the kernel that see more than padding.

    ``totals`` are the same where 32 bits hold only ``limit`` planes.
    """
    planes, height, width = padded
    row = taps * OUTPUTS
    for plane in range(0, planes, limit):
        dot_tile(
            zeros, sums, words, first + plane * height * width + rows[0] * width, (height * width, width, 1),
            weights, (block * planes + plane) * taps * row + rows[0] * row, (taps * row, row, OUTPUTS),
            (min(limit, planes - plane), rows[1], taps),
        )  # fmt: skip
        if limit < planes:
            for n in range(sums.size):
                totals[n] = sums[n] + (totals[n] if plane > 0 else 0.0)


@njit(**OPTIONS)
def seen_rows(y, taps, padding, height):
    """The first and the number of a kernel's rows that see one of ``height`` from place ``y`` on; at least one."""
    first = max(0, min(taps - 1, padding - y))
    return first, max(1, min(taps, height + padding - y) - first)


def _convolve(begin, end, source, code, padding, weights, taps, limit, unit, bias, zeros, out):
    """Fill ``out`` (B, H', W', O) of the samples ``begin`` to ``end`` with ``unit`` times the sums of products plus ``bias``.

    ``source`` (B, H, W, C): codes as floats, times full scale over levels (``code``); ``weights``: words; ``taps``: side of
    the kernel; ``limit``: planes whose sum surely fits; ``zeros``: one for each pixel at a time.
    """
    _, height, width, channels = source.shape
    _, rows, columns, outputs = out.shape
    padded = ((channels + 1) // 2, height + 2 * padding, width + 2 * padding)
    size = padded[0] * padded[1] * padded[2]
    samples = max(1, BLOCK_WORDS // size)
    words, codes = np.zeros(samples * size, np.int32), np.zeros(width * 2 * padded[0], np.int16)
    sums = np.zeros(len(zeros) * OUTPUTS, np.int32)
    totals, pixels = np.zeros(sums.size), out.reshape(-1)
    for start in range(begin, end, samples):
        stop = min(end, start + samples)
        for b in range(start, stop):
            part = words[(b - start) * size : (b - start + 1) * size].reshape(padded)
            _pack_maps(source[b], code[0], code[1], padding, codes, part)
        for low in range(0, outputs, OUTPUTS):
            biases = bias[low : low + OUTPUTS]
            for b in range(start, stop):
                for y in range(rows):
                    seen = seen_rows(y, taps, padding, height)
                    for column in range(0, columns, len(zeros)):
                        x = min(column, columns - len(zeros))
                        first = (b - start) * size + y * padded[2] + x
                        _convolve_tile(
                            words, first, padded, weights, low // OUTPUTS, taps, seen, limit, zeros, sums, totals
                        )
                        place = ((b * rows + y) * columns + x) * outputs + low
                        if limit < padded[0]:
                            _write_tile(totals, unit, biases, pixels, place, outputs, biases.size == OUTPUTS)
                        else:
                            _write_tile(sums, unit, biases, pixels, place, outputs, biases.size == OUTPUTS)


class _Kernels(dict[tuple[str, int], Any]):
    """`_convolve` by type of its results and number of pixels at a time, made as they are asked for."""

    def __missing__(self, key: tuple[str, int]) -> Any:
        self[key] = compiled(
            f"void(int64, int64, {MAPS}, UniTuple(float32, 2), int64, {WORDS}, int64, int64, float64, float64[::1],"
            f" UniTuple(int16, {key[1]}), {key[0]}[:, :, :, ::1])"
        )(_convolve)
        return self[key]


_kernels = _Kernels()


class PackedWeights(NamedTuple):
    """``words`` of weights (O, C, k, k) of a ``shape``; ``total``: the largest sum over a channel of the sizes of their codes,
    ``largest``: the largest size."""

    words: np.ndarray
    shape: tuple[int, ...]
    total: int
    largest: int


def pack_weights(weight: Tensor, unit: float, levels: float) -> PackedWeights:
    """Weights (O, C, k, k) that are codes times ``unit / levels``."""
    outputs, channels, *sides = weight.shape
    blocks, planes, taps = -(-outputs // OUTPUTS), (channels + 1) // 2, math.prod(sides)
    words, sizes = np.zeros(blocks * planes * taps * OUTPUTS, np.int32), np.zeros((outputs, 2), np.int64)
    share(_pack_weights, outputs, 20 * weight.numel(), maps(weight), unit, levels, words, sizes)
    return PackedWeights(words, tuple(weight.shape), *(int(size) for size in sizes.max(0)))


def planes_at_a_time(weights: PackedWeights, largest: int) -> int:
    """How many planes of codes of a size up to ``largest`` have a sum of products that surely fits; 0 if not even one has."""
    _, channels, *sides = weights.shape
    if max(largest, weights.largest) > LARGEST:
        return 0
    planes = (channels + 1) // 2
    if weights.total * largest <= LARGEST_SUM:
        return planes
    return min(planes, LARGEST_SUM // (2 * math.prod(sides) * weights.largest * largest))


def convolve(
    source: Tensor, code: tuple[float, float], padding: int, weights: PackedWeights, limit: int,
    unit: float, bias: np.ndarray, out: Tensor,
) -> None:  # fmt: skip
    """Fill ``out`` (B, O, H', W'), channels last, float32, int32 or int64; ``source`` (B, C, H, W), ``limit`` of
    `planes_at_a_time`, the rest as in `_convolve`."""
    taps, x, y = weights.shape[2], maps(source), maps(out)
    if taps == 1 and padding == 0:  # all pixels are alike: as few rows as threads can share
        rows = torch.get_num_threads() if len(x) % torch.get_num_threads() == 0 else 1
        x, y = (part.reshape(rows, 1, -1, part.shape[3]) for part in (x, y))
    tile = words_at_a_time(y.shape[2])
    kernel = _kernels[y.dtype.name, tile]
    share(
        kernel, len(y), out.numel() * math.prod(weights.shape[1:]) // 25, x, code, padding, weights.words, taps,
        limit, unit, bias, (0,) * tile, y,
    )  # fmt: skip


@compiled("void(int64, int64, float32[:, ::1], float64, float64[::1])")
def _scale_sums(begin, end, sums, unit, bias):
    """``unit`` times the ``sums`` (pixels, O) plus ``bias``, in double until they are written, in their place."""
    for pixel in range(begin, end):
        row = sums[pixel]
        for n in range(row.size):
            row[n] = row[n] * unit + bias[n]


def scale_sums(sums: Tensor, unit: float, bias: np.ndarray) -> Tensor:
    """``unit`` times the ``sums`` (B, O, H', W') plus ``bias``, rounded once, in their memory where it is channels last."""
    pixels = maps(sums)
    flat = pixels.reshape(-1, pixels.shape[3])
    share(_scale_sums, len(flat), 4 * flat.size, flat, unit, bias)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)
