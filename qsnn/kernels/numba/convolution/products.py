"""Currents, errors and weight gradients of convolutions by sums over spikes, where the numbers allow it; else the definition.

"Allow" is measured on the tensors, as for dense layers (`qsnn.kernels.numba.products.products`): binary and sparse inputs, weights and
errors of 16 bits or fewer, and no sum above what its integers hold, by the actual weights and the errors' format.
"""

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from qsnn.kernels import convolution
from qsnn.kernels.backend import ConvolutionSettings
from qsnn.kernels.numba.convolution import sums
from qsnn.kernels.numba.convolution.geometry import Kernel, in_pairs, in_runs, input_places, out_of_runs, places, whole
from qsnn.kernels.numba.convolution.vectors import SIDE
from qsnn.kernels.numba.products.products import Codes, Spikes, spike_lists, weight_codes
from qsnn.kernels.numba.rounding.calls import grid, largest
from qsnn.kernels.numba.rounding.quantizers import error_factors
from qsnn.kernels.numba.rounding.scalars import INFINITY
from qsnn.kernels.numba.runtime.arrays import array
from qsnn.kernels.numba.runtime.buffers import empty
from qsnn.kernels.numba.runtime.memory import known
from qsnn.kernels.numba.runtime.threads import split

LONGEST = 2**31 - 1
RUN = 2 * SIDE  # integers of 16 bits in a vector
TENTHS = 30  # of a nanosecond that a run's vector takes


class Weights(NamedTuple):
    """Codes (O, C, k, k) of a layer's weights, and their step."""

    codes: np.ndarray
    step: float


def kernel_of(x: Tensor, layer: ConvolutionSettings) -> Kernel:
    """The convolution of inputs (..., C, H, W) by a layer."""
    C, H, W = x.shape[-3:]
    return Kernel((C, H, W), layer.weight.shape[0], layer.weight.shape[2], layer.stride, layer.padding)


def lists_of(x: Tensor) -> Spikes | None:
    """The spikes of each sample (..., C, H, W), all of them flat in a row; None if there are too many, or other numbers."""
    return known(x, "samples", lambda x: spike_lists(x.reshape(-1, x[(0,) * (x.dim() - 3)].numel()))) or None


def weights_of(layer: ConvolutionSettings) -> Weights | None:
    """The codes of ``w_q``; None if it has none, or if the layer is in full precision."""
    if layer.weight_bits is None:
        return None
    shape = layer.weight.shape
    codes: Codes | None = weight_codes(layer.weight.detach().flatten(1), layer.weight_bits, layer.scale)
    if codes is None:
        return None
    return Weights(codes.integers[:, : shape[1:].numel()].reshape(shape), codes.step)


def _bound(weights: Weights, axes: tuple[int, ...]) -> int:
    """What no sum of weights over ``axes`` exceeds, whatever their signs."""
    return int(np.abs(weights.codes.astype(np.int64)).sum(axes).max())


class Drive(NamedTuple):
    """What `sums.sum_of_sample` needs: ``arguments``, and an array as large as its sums, in the type that holds them."""

    lists: tuple[Any, ...]
    arguments: tuple[Any, ...]
    kind: np.ndarray
    step: float
    work: int


def drive_of(x: Tensor, layer: ConvolutionSettings) -> Drive | None:
    """From the spikes; None if they or the weights do not allow it."""
    lists, kernel = lists_of(x), kernel_of(x, layer)
    weights = weights_of(layer) if lists is not None and min(kernel.maps) > 0 else None
    if lists is None or weights is None:
        return None
    bound = _bound(weights, (1, 2, 3))
    if bound > LONGEST:
        return None
    run = whole(kernel.taps * kernel.depth, RUN)
    at = places(kernel, run)
    table = in_runs(weights.codes, kernel, run).reshape(-1)
    kind = np.zeros(at.size, np.int16 if bound < 2**15 else np.int32)
    work = len(lists.indices) * TENTHS * kernel.taps * run // RUN
    arguments = (table, run, kernel.taps, at.neurons, at.runs, at.weights, at.row)
    return Drive(tuple(lists), arguments, kind, weights.step, work)


def convolution_current(x: Tensor, layer: ConvolutionSettings) -> Tensor:
    """`qsnn.kernels.convolution.convolution_current`: for each sample the sum of the weights of its spikes."""
    drive = drive_of(x, layer)
    if drive is None:
        return convolution.convolution_current(x, layer)
    kernel = kernel_of(x, layer)
    out = empty(*x.shape[:-3], *kernel.maps)
    split(
        sums.currents[drive.kind.dtype], len(drive.lists[0]), drive.work + out.numel(), drive.lists, *drive.arguments,
        drive.kind, kernel.depth, kernel.channels, drive.step, array(out).reshape(-1),
    )  # fmt: skip
    return out


def convolution_errors(
    x: Tensor, grad_current: Tensor, layer: ConvolutionSettings, wants_input: bool
) -> tuple[Tensor | None, Tensor]:
    """`qsnn.kernels.convolution.convolution_errors`: the errors of each sample become a map of integers, of which each spike adds a
    square to the weight gradient, and each error that is not 0 the weights times itself to the errors at the inputs."""
    done = _errors(x, grad_current, layer, wants_input)
    return convolution.convolution_errors(x, grad_current, layer, wants_input) if done is None else done


def _errors(
    x: Tensor, grad_current: Tensor, layer: ConvolutionSettings, wants_input: bool
) -> tuple[Tensor | None, Tensor] | None:
    lists, kernel, size = lists_of(x), kernel_of(x, layer), largest(grad_current)
    if lists is None or layer.error_bits is None or size >= INFINITY:
        return None
    fmt, step, table, in_run = grid(layer.error_bits), 0.0, np.empty(0, np.int16), 0
    if wants_input:
        weights = weights_of(layer)
        if weights is None or _bound(weights, (0, 2, 3)) * fmt[1] > LONGEST:
            return None
        step, pairs = weights.step / fmt[0], in_pairs(weights.codes, kernel)
        table, in_run = pairs.reshape(-1), pairs.shape[-1]
    run = kernel.taps * kernel.depth
    at, back = places(kernel, run), input_places(kernel)
    grad_x = empty(*x.shape) if wants_input else empty(0)
    pixels = len(at.neurons)
    total = kernel.stride**2 * kernel.inputs[0] * kernel.taps * run
    work = len(lists.indices) * TENTHS * kernel.taps * run // SIDE + grad_current.numel() * (20 if wants_input else 3)
    parts = split(
        sums.errors, len(lists.starts), work, tuple(lists), array(grad_current).reshape(-1),
        error_factors(size, fmt[0]), fmt, kernel.channels, kernel.depth, at.neurons, at.runs, at.weights, at.row, at.size,
        kernel.taps, run, total, max(1, LONGEST // (pixels * int(fmt[1]))), back.neurons, back.pixels, back.row, back.size,
        kernel.inputs[0], table, in_run, kernel.side, step, array(grad_x).reshape(-1),
    )  # fmt: skip
    gradient = out_of_runs(sum(parts), kernel) / fmt[0]
    return grad_x if wants_input else None, Tensor(np.ascontiguousarray(gradient, np.float32))
