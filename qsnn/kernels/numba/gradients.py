"""Distance and gradients of a net of dense layers by the fused kernel, where it is made for the numbers at hand."""

import functools
import itertools
import math
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFParameters
from qsnn.kernels.backend import LayerPass, LayerSettings, NetPass
from qsnn.kernels.numba.nets import dense_layers as kernels
from qsnn.kernels.numba.neurons.states import decays, surrogate
from qsnn.kernels.numba.products.products import (
    LARGEST_SUM,
    MULTIPLES,
    Codes,
    Spikes,
    column_lists,
    padded,
    spike_lists,
    sum_kind,
    weight_codes,
)  # fmt: skip
from qsnn.kernels.numba.rounding.calls import backward_grids
from qsnn.kernels.numba.runtime.arrays import matrix
from qsnn.kernels.numba.runtime.buffers import block
from qsnn.kernels.numba.runtime.compile import Kernel
from qsnn.kernels.numba.runtime.memory import known, remember
from qsnn.kernels.numba.runtime.team import run_together

CHUNK = 2**16
MOST_THREADS = 4  # of which each finds something worth its while in the stages of a small batch


class Scratch(NamedTuple):
    """Memory for what nobody sees afterwards; tuples have one entry a layer, input first."""

    lists: tuple[tuple[np.ndarray, ...], ...]
    """of the spikes that enter each layer but the first, by row"""
    columns: tuple[tuple[np.ndarray, ...], ...]
    """the same by neuron"""
    difference: np.ndarray
    grads_spikes: tuple[np.ndarray, ...]
    errors: tuple[np.ndarray, ...]
    weight_columns: tuple[np.ndarray, ...]
    squares: np.ndarray


@functools.lru_cache(maxsize=4)
def _scratch(shape: tuple[int, int], widths: tuple[int, ...], place: int) -> Scratch:
    """For (T, B) steps and sequences and layers of so many neurons; ``place``: whose memory it is."""
    num_rows = shape[0] * shape[1]

    def lists(count: int, width: int) -> tuple[np.ndarray, ...]:
        return np.empty(count, np.int64), np.empty(count, np.int64), np.empty(num_rows * (width + 1), np.int32)

    errors = tuple(padded(num_rows, width, np.int8) for width in widths)
    turned = [padded(codes.shape[1], width, np.int8) for codes, width in zip(errors[1:], widths, strict=False)]
    difference = np.empty((shape[0], shape[1] * widths[-1]), np.float32)
    return Scratch(
        tuple(lists(num_rows, width) for width in widths[:-1]),
        tuple(lists(width, width) for width in widths[:-1]),
        difference,
        tuple(np.empty((num_rows, width), np.float32) for width in widths),
        errors,
        (padded(0, 0, np.int8), *turned),  # nothing goes back beyond the first layer
        np.empty(-(-difference.size // CHUNK)),
    )


class Operands(NamedTuple):
    """What the kernel computes with: the input's spikes by row and by column, codes of the weights, formats."""

    x_rows: Spikes
    x_columns: Spikes
    codes: list[Codes]
    grids: list[tuple[tuple[float, ...], ...]]


def _lif(layer: LayerSettings) -> LIFParameters:
    """The neurons of a layer that `_layers_fit` has let pass."""
    return cast(LIFParameters, layer.lif)


def _layers_fit(x: Tensor, target: Tensor, layers: Sequence[LayerSettings]) -> bool:
    """Whether the sizes belong together, and neurons and errors are ones that the kernel is made for."""
    tensors = x, target, *(layer.weight for layer in layers)
    if x.dim() != 3 or not all(tensor.dtype == torch.float32 and tensor.numel() for tensor in tensors):
        return False
    inputs = x.shape[2]
    for layer in layers:
        if layer.weight.dim() != 2 or layer.weight.shape[0] != inputs:
            return False
        lif = layer.lif
        if (
            not isinstance(lif, LIFParameters)
            or isinstance(lif.synapse_decay, Tensor)
            or isinstance(lif.membrane_decay, Tensor)
        ):
            return False
        inputs = layer.weight.shape[1]
    return target.shape == (*x.shape[:2], inputs)


def _formats(layer: LayerSettings) -> tuple[tuple[float, ...], ...] | None:
    """The formats of a layer, None if one is not ordinary or the errors have more than 8 bits."""
    p = _lif(layer)
    formats = backward_grids(p.synapse_bits, p.membrane_bits, p.error_bits, p.threshold_mask, p.state_range)
    return formats if len(formats[0]) == 2 and formats[2][1] <= 127 else None


def _sums_fit(codes: Codes, num_outputs: int, highest_error: float) -> bool:
    """Whether the kernel's integers hold the sums: of 16 products of weight and error, and of all as a float."""
    product = codes.high * highest_error
    return 16 * product <= MULTIPLES and num_outputs * product <= 2**24


def find_operands(x: Tensor, target: Tensor, layers: Sequence[LayerSettings]) -> Operands | None:
    """None where the kernel is not made for these numbers.

    It is for sparse spikes, weights of few bits (8 at most in the first layer, which no error passes), ordinary errors of
    8 bits at most and a batch of one block of rows. The layers may differ in all of these.
    """
    if not _layers_fit(x, target, layers):
        return None
    grids, all_codes = list[tuple[tuple[float, ...], ...]](), list[Codes]()
    columns = known(x, "columns", column_lists)
    if not columns or len(columns.starts) > 1:
        return None
    for number, layer in enumerate(layers):
        formats = _formats(layer)
        codes = None if formats is None else weight_codes(layer.weight, layer.weight_bits, layer.scale)
        if formats is None or codes is None or codes.integers.dtype != np.int8:
            return None
        if number > 0 and not _sums_fit(codes, layer.weight.shape[1], formats[2][1]):
            return None
        grids.append(formats)
        all_codes.append(codes)
    x_columns = Spikes(columns.starts[0], columns.ends[0], columns.indices)
    return Operands(known(x, "rows", spike_lists), x_columns, all_codes, grids)


class Outputs(NamedTuple):
    """What the kernel fills; one entry a layer. R = T*B rows, M = B*neurons columns."""

    currents: list[np.ndarray]
    """(R, neurons)"""
    activities: list[np.ndarray]
    """spikes, synapse, membrane: (3, T, M)"""
    grads: list[np.ndarray]
    """at the input currents: (R, neurons)"""
    gradients: list[np.ndarray]
    """of the weights"""


def _outputs(x: Tensor, layers: Sequence[LayerSettings]) -> Outputs:
    """All in one piece of memory, each from a whole cache line on: one allocation instead of many."""
    T, B, _ = x.shape
    widths = [layer.weight.shape[1] for layer in layers]
    rows, states = [(T * B, width) for width in widths], [(3, T, B * width) for width in widths]
    shapes: list[tuple[int, ...]] = [*rows, *states, *rows, *(tuple(layer.weight.shape) for layer in layers)]
    ends = list(itertools.accumulate(-(-math.prod(shape) // 16) * 16 for shape in shapes))
    memory = block(ends[-1])
    parts = [
        memory[start : start + math.prod(shape)].reshape(shape)
        for start, shape in zip([0, *ends], shapes, strict=False)
    ]
    count = len(layers)
    return Outputs(*(parts[first : first + count] for first in range(0, len(parts), count)))


def layer_passes(outputs: Outputs, shape: tuple[int, ...]) -> tuple[LayerPass, ...]:
    """What the kernel has filled, or will fill, for (T, B) steps and sequences, as tensors on the same memory."""
    layers = []
    for current, activity, grad, gradient in zip(*outputs, strict=True):
        tensors = [torch.from_numpy(part).view(*shape, -1) for part in (current, grad, *activity)]
        layers.append(LayerPass(tensors[0], LIFActivity(*tensors[2:]), tensors[1], torch.from_numpy(gradient)))
    return tuple(layers)


def _limits(codes: Codes, highest_error: float) -> tuple[int, int, int]:
    """How many rows fit into the sums: of weights, of errors, of products of both."""
    high = int(highest_error)
    return LARGEST_SUM[sum_kind(codes)] // codes.high, LARGEST_SUM[np.int16] // high, MULTIPLES // (codes.high * high)


class Prepared(NamedTuple):
    """A call of the kernel. Whatever changes the arrays that it reads in place is seen by the next call."""

    kernel: Kernel
    arguments: tuple[Any, ...]
    codes: tuple[np.ndarray, ...]
    """of the weights"""
    outputs: Outputs
    sizes: np.ndarray
    """bits of maxima (layers, `NUM_SIZES`, threads)"""
    distance: np.ndarray

    def run(self, team: int) -> bool:
        """Compute, by as many threads as it was prepared for; whether the kernel was made for the numbers that came up."""
        return bool(run_together(self.kernel, team, *self.arguments) == kernels.FINISHED)

    def result(self) -> float:
        """The distance that was computed."""
        return float(np.float32(self.distance[0]))


def prepare(
    x: Tensor, target: Tensor, layers: Sequence[LayerSettings], decay: float, tau: float, filter_bits: int | None,
    team: int, place: int,
) -> Prepared | None:  # fmt: skip
    """The kernel's call for ``team`` threads, None where it is not made for these numbers. ``place``: whose memory serves for
    what nobody sees afterwards."""
    operands = find_operands(x, target, layers)
    if operands is None or len({_lif(layer).surrogate_bits is None for layer in layers}) > 1:
        return None
    (T, B, _), (x_rows, x_columns, codes, grids) = x.shape, operands
    outputs, widths = _outputs(x, layers), tuple(layer.weight.shape[1] for layer in layers)
    integers = tuple(c.integers for c in codes)
    lists, columns, *scratch = _scratch((T, B), widths, place)
    sizes, distance = np.zeros((len(layers), kernels.NUM_SIZES, team), np.int32), np.zeros(1)
    surrogates = [surrogate(_lif(layer)) for layer in layers]
    arguments = (
        (tuple(x_rows), *lists), (tuple(x_columns), *columns), integers,
        tuple(c.step for c in codes), tuple(_limits(c, grid[2][1]) for c, grid in zip(codes, grids, strict=True)),
        tuple(sum_kind(c) is np.int8 for c in codes),
        tuple(decays(_lif(layer), torch.Size((B, width))) for layer, width in zip(layers, widths, strict=True)),
        tuple((_lif(layer).threshold, one) for layer, one in zip(layers, surrogates, strict=True)), tuple(grids), decay, tau,
        CHUNK, 0.0 if filter_bits is None else 2.0**filter_bits, matrix(target),
        tuple(outputs.currents), tuple(outputs.activities),
        tuple(states[0].reshape(T * B, -1) for states in outputs.activities), tuple(outputs.grads),
        tuple(outputs.gradients), *scratch, sizes, np.zeros(team, np.int64), distance,
    )  # fmt: skip
    kernel = kernels.gradients_kernel(len(layers), len(surrogates[0]))
    return Prepared(kernel, arguments, integers, outputs, sizes, distance)


def fused_gradients(
    x: Tensor, target: Tensor, layers: Sequence[LayerSettings], decay: float, tau: float, filter_bits: int | None = None
) -> NetPass | None:
    """`dense_layers.compose_gradients`, or None where the kernel is not made for the numbers that come up."""
    team = min(torch.get_num_threads(), MOST_THREADS)
    prepared = prepare(x, target, layers, decay, tau, filter_bits, team, threading.get_ident())
    if prepared is None or not prepared.run(team):
        return None
    passes = layer_passes(prepared.outputs, tuple(x.shape[:2]))
    for layer, largest in zip(passes, prepared.sizes.max(2).tolist(), strict=True):
        remember(layer.activity[2], "largest", largest[kernels.MEMBRANE])
        remember(layer.gradient, "largest", largest[kernels.GRADIENT])
    return NetPass(prepared.result(), passes)
