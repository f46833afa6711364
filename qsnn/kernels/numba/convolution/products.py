"""Currents, errors and weight gradients of convolutions by sums over spikes, where the numbers allow it; else the definition.

"Allow" is measured on the tensors, as for dense layers (`qsnn.kernels.numba.products.products`): binary and sparse inputs,
weights and errors of 16 bits or fewer, and no sum above what its integers hold, by the actual weights and the errors' format.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qsnn.kernels import convolution
from qsnn.kernels.backend import ConvolutionSettings
from qsnn.kernels.numba.convolution import sums
from qsnn.kernels.numba.convolution.geometry import (
    Kernel,
    Places,
    in_pairs,
    in_runs,
    input_places,
    out_of_runs,
    places,
    whole,
)
from qsnn.kernels.numba.convolution.vectors import SIDE
from qsnn.kernels.numba.products.products import Codes, Spikes, spike_lists, weight_codes
from qsnn.kernels.numba.rounding.calls import found_already, grid, largest
from qsnn.kernels.numba.rounding.quantizers import error_factors
from qsnn.kernels.numba.rounding.scalars import INFINITY
from qsnn.kernels.numba.runtime.arrays import array
from qsnn.kernels.numba.runtime.buffers import empty
from qsnn.kernels.numba.runtime.memory import known
from qsnn.kernels.numba.runtime.threads import split
from qsnn.quantization.reductions import ALONE, Reductions

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
    """What `sums.sum_of_sample` needs of spikes, weights and places, and a zero in the type that holds the sums."""

    lists: Spikes
    weights: tuple[np.ndarray, int, int, float]
    places: Places
    zero: Any
    work: int


def drive_of(x: Tensor, layer: ConvolutionSettings) -> Drive | None:
    """From the spikes; None if they or the weights do not allow it."""
    lists, kernel = lists_of(x), kernel_of(x, layer)
    weights = weights_of(layer) if lists is not None and min(kernel.maps) > 0 else None
    if lists is None or weights is None:
        return None
    bound, run = _bound(weights, (1, 2, 3)), whole(kernel.taps * kernel.depth, RUN)
    if bound > LONGEST:
        return None
    table = in_runs(weights.codes, kernel, run).reshape(-1), run, kernel.taps, weights.step
    work = len(lists.indices) * TENTHS * kernel.taps * run // RUN
    return Drive(lists, table, places(kernel, run), np.int16(0) if bound < 2**15 else np.int32(0), work)


def convolution_current(x: Tensor, layer: ConvolutionSettings) -> Tensor:
    """`qsnn.kernels.convolution.convolution_current`: for each sample the sum of the weights of its spikes."""
    drive = drive_of(x, layer)
    if drive is None:
        return convolution.convolution_current(x, layer)
    maps, (lists, weights, at, zero, work) = kernel_of(x, layer).maps, drive
    out = empty(*x.shape[:-3], *maps)
    arguments = tuple(lists), weights, tuple(at), zero, maps[0], array(out).reshape(-1)
    split(sums.currents[zero.dtype], len(lists.starts), work + out.numel(), *arguments)
    return out


def convolution_errors(
    x: Tensor, grad_current: Tensor, layer: ConvolutionSettings, wants_input: bool, over: Reductions = ALONE
) -> tuple[Tensor | None, Tensor]:
    """`qsnn.kernels.convolution.convolution_errors`: the errors of a sample become maps of integers. Each spike adds a square
    of them to the weight gradient, each error that is not 0 its multiple of the weights to the errors at the inputs."""
    size = largest(grad_current, over)
    done = _errors(x, grad_current, layer, wants_input, size)
    if done is None:
        return convolution.convolution_errors(x, grad_current, layer, wants_input, found_already(size, over))
    grad_x, sums_of_errors = done
    gradient = over.total(torch.from_numpy(sums_of_errors)).numpy()
    return grad_x, torch.from_numpy(np.ascontiguousarray(gradient, np.float32))


class _Back(NamedTuple):
    """Weights as `sums` wants them for the errors at the inputs."""

    table: np.ndarray
    run: int
    side: int
    step: float


def _back_of(layer: ConvolutionSettings, kernel: Kernel, levels: float, high: float) -> _Back | None:
    """None if the sums of multiples by errors up to ``high`` do not fit, or if the weights are no codes."""
    weights = weights_of(layer)
    if weights is None or _bound(weights, (0, 2, 3)) * high > LONGEST:
        return None
    pairs = in_pairs(weights.codes, kernel)
    return _Back(pairs.reshape(-1), pairs.shape[-1], kernel.side, weights.step / levels)


def _errors(
    x: Tensor, grad_current: Tensor, layer: ConvolutionSettings, wants_input: bool, size: int
) -> tuple[Tensor | None, np.ndarray] | None:
    """Gradients at the input and, in double, at the weights; ``size``: bits of the errors' maximum."""
    lists, kernel = lists_of(x), kernel_of(x, layer)
    if lists is None or layer.error_bits is None or size >= INFINITY:
        return None
    levels, high, _ = fmt = grid(layer.error_bits)
    none = _Back(np.empty(0, np.int16), 0, 0, 0.0)
    back = _back_of(layer, kernel, levels, high) if wants_input else none
    if back is None:
        return None
    run, grad_x = kernel.taps * kernel.depth, empty(*x.shape) if wants_input else None
    at, total = places(kernel, run), kernel.stride**2 * kernel.inputs[0] * kernel.taps * run
    work = len(lists.indices) * TENTHS * kernel.taps * run // SIDE + grad_current.numel() * (20 if wants_input else 3)
    sizes = kernel.inputs[0], kernel.channels, kernel.depth, kernel.taps, total
    parts = split(
        sums.errors, len(lists.starts), work, tuple(lists), array(grad_current).reshape(-1), error_factors(size, levels), fmt,
        sizes, tuple(at), max(1, LONGEST // (len(at.neurons) * int(high))), tuple(input_places(kernel)), tuple(back),
        np.empty(0, np.float32) if grad_x is None else array(grad_x).reshape(-1),
    )  # fmt: skip
    return grad_x, out_of_runs(sum(parts), kernel) / levels
