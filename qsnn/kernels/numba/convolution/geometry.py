"""Where a kernel's runs lie in maps of sums, for any stride and padding, and weights in the order of runs.

With stride s a convolution is one of stride 1 for each phase (Y mod s, X mod s) of the padded inputs, by a kernel of side
J = ceil(k / s). The maps of sums (rows, columns, channels) have J - 1 more rows and columns around the neurons, for runs that
reach over the edge. An input at (Y, X) touches J runs of J pixels each, the first in the row of Y // s and the others above it.
"""

import functools
from typing import NamedTuple

import numpy as np

from qsnn.kernels.numba.convolution.vectors import SIDE, VECTOR_BYTES

SLACK = 64  # numbers behind the maps, which the last vector of a run may reach


def whole(size: int, unit: int) -> int:
    """``size`` to a multiple of ``unit``, upwards."""
    return -(-size // unit) * unit


def aligned(size: int) -> np.ndarray:
    """So many int16 from the start of a cache line on."""
    memory = np.zeros(2 * size + VECTOR_BYTES, np.int8)
    first = -memory.ctypes.data % VECTOR_BYTES
    return memory[first : first + 2 * size].view(np.int16)


class Kernel(NamedTuple):
    """A convolution of maps (C, H, W) to O maps, with a kernel of ``side``."""

    inputs: tuple[int, int, int]
    channels: int
    side: int
    stride: int
    padding: int

    @property
    def maps(self) -> tuple[int, int, int]:
        """(O, H', W'); 0 or less where the kernel does not fit."""
        height, width = ((n + 2 * self.padding - self.side) // self.stride + 1 for n in self.inputs[1:])
        return self.channels, height, width

    @property
    def taps(self) -> int:
        """J."""
        return -(-self.side // self.stride)

    @property
    def depth(self) -> int:
        """Channels of the maps of sums: O to whole blocks."""
        return whole(self.channels, SIDE)


class Places(NamedTuple):
    """``neurons``: of each neuron's pixel, its first channel in the maps of sums; ``runs``: of each input, where its first run
    begins; ``weights``: where its weights do in their table; ``row``: numbers in a row of the maps; ``size``: of the maps."""

    neurons: np.ndarray
    runs: np.ndarray
    weights: np.ndarray
    row: int
    size: int


def _padded(kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every input pixel (H, W) with the padding around."""
    y, x = np.indices(kernel.inputs[1:])
    return y + kernel.padding, x + kernel.padding


@functools.lru_cache(maxsize=64)
def places(kernel: Kernel, run: int) -> Places:
    """``run``: numbers of a run in the table of weights."""
    (y, x), stride, margin = _padded(kernel), kernel.stride, kernel.taps - 1
    rows, columns = (
        max(int(at.max()) // stride + 1, size) + margin for at, size in zip((y, x), kernel.maps[1:], strict=True)
    )
    first = ((y // stride + margin) * columns + x // stride) * kernel.depth
    phase = (y % stride) * stride + x % stride
    channel = np.arange(kernel.inputs[0])[:, None, None]
    weights = (phase * kernel.inputs[0] + channel) * kernel.taps * run
    y, x = np.indices(kernel.maps[1:])
    neurons = ((y + margin) * columns + x + margin) * kernel.depth
    runs = np.broadcast_to(first, weights.shape)
    size = rows * columns * kernel.depth + SLACK
    neurons, runs, weights = (part.reshape(-1).copy() for part in (neurons, runs, weights))
    return Places(neurons, runs, weights, columns * kernel.depth, size)


def in_runs(codes: np.ndarray, kernel: Kernel, run: int) -> np.ndarray:
    """Weights (O, C, k, k) as int16 (phases, C, J, run), runs of pixels from right to left of the kernel, zeros behind."""
    taps, stride, (outputs, C, side, _) = kernel.taps, kernel.stride, codes.shape
    square = np.zeros((outputs, C, taps * stride, taps * stride), np.int16)
    square[:, :, :side, :side] = codes
    parts = square.reshape(outputs, C, taps, stride, taps, stride).transpose(3, 5, 1, 2, 4, 0)[:, :, :, :, ::-1]
    wide = np.zeros((*parts.shape[:-1], kernel.depth), np.int16)
    wide[..., :outputs] = parts
    out = aligned(stride * stride * C * taps * run).reshape(stride * stride, C, taps, run)
    out[..., : taps * kernel.depth] = wide.reshape(stride * stride, C, taps, -1)
    return out


def out_of_runs(sums: np.ndarray, kernel: Kernel) -> np.ndarray:
    """The way back from (phases, C, J, J * depth) to (O, C, k, k)."""
    taps, stride, side, C = kernel.taps, kernel.stride, kernel.side, kernel.inputs[0]
    parts = sums.reshape(stride, stride, C, taps, taps, kernel.depth)[:, :, :, :, ::-1, : kernel.channels]
    square = parts.transpose(5, 2, 3, 0, 4, 1).reshape(kernel.channels, C, taps * stride, taps * stride)
    return square[:, :, :side, :side]


class InputPlaces(NamedTuple):
    """``neurons``: of each neuron's pixel, where its kernel begins in the padded input maps (H, W, C) of sums; ``pixels``: of
    each input pixel, its first channel; ``row`` and ``size`` as in `Places`."""

    neurons: np.ndarray
    pixels: np.ndarray
    row: int
    size: int


@functools.lru_cache(maxsize=64)
def input_places(kernel: Kernel) -> InputPlaces:
    """Where the errors of neurons go."""
    C, H, W = kernel.inputs
    columns = W + 2 * kernel.padding
    y, x = np.indices(kernel.maps[1:]) * kernel.stride
    (rows_of_pixels, columns_of_pixels), neurons = _padded(kernel), (y * columns + x) * C
    pixels = (rows_of_pixels * columns + columns_of_pixels) * C
    size = (H + 2 * kernel.padding) * columns * C + SLACK
    return InputPlaces(neurons.reshape(-1).copy(), pixels.reshape(-1).copy(), columns * C, size)


def in_pairs(codes: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Weights (O, C, k, k) as int16 (depth / 2, k, run), a run being k pixels of C channels, each a pair of neighbours of O."""
    outputs, C, side, _ = codes.shape
    whole_depth = np.zeros((kernel.depth, C, side, side), np.int16)
    whole_depth[:outputs] = codes
    pairs = whole_depth.reshape(-1, 2, C, side, side).transpose(0, 3, 4, 2, 1).reshape(kernel.depth // 2, side, -1)
    length = whole(side * C, SIDE) * 2
    out = aligned(pairs.shape[0] * side * length).reshape(*pairs.shape[:2], length)
    out[..., : pairs.shape[2]] = pairs
    return out
