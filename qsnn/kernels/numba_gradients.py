"""Distance and gradients of a net of two layers by the fused kernel, where it is made for the numbers at hand."""

import functools
import math
import threading
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import LIFActivity
from qsnn.kernels import numba_two_layers as kernels
from qsnn.kernels.backend import LayerPass, LayerSettings, NetPass
from qsnn.kernels.numba_arrays import array, matrix
from qsnn.kernels.numba_buffers import empty
from qsnn.kernels.numba_calls import backward_grids
from qsnn.kernels.numba_memory import known, remember
from qsnn.kernels.numba_products import (
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
from qsnn.kernels.numba_states import decays
from qsnn.kernels.numba_team import run_together

CHUNK = 2**16


MOST_THREADS = 4  # of which each finds something worth its while in the stages of a small batch


class Scratch(NamedTuple):
    """Memory for what nobody sees afterwards, in the order of the kernel's arguments."""

    difference: np.ndarray
    grads_spikes: tuple[np.ndarray, ...]
    lists: tuple[np.ndarray, ...]
    columns: tuple[np.ndarray, ...]
    errors: tuple[np.ndarray, ...]
    weight_columns: np.ndarray
    squares: np.ndarray


@functools.lru_cache(maxsize=4)
def _scratch(shape: tuple[int, int], num_hidden: int, num_outputs: int, thread: int) -> Scratch:
    """For (T, B) steps and sequences; ``thread``: whose memory it is."""
    num_rows = shape[0] * shape[1]

    def lists(count: int) -> tuple[np.ndarray, ...]:
        room = num_rows * (num_hidden + 1)
        return np.empty(count, np.int64), np.empty(count, np.int64), np.empty(room, np.int32)

    errors = tuple(padded(num_rows, width, np.int8) for width in (num_hidden, num_outputs))
    difference = np.empty((shape[0], shape[1] * num_outputs), np.float32)
    grads = tuple(np.empty((num_rows, width), np.float32) for width in (num_hidden, num_outputs))
    weight_columns = padded(errors[1].shape[1], num_hidden, np.int8)
    squares = np.empty(-(-difference.size // CHUNK))
    return Scratch(difference, grads, lists(num_rows), lists(num_hidden), errors, weight_columns, squares)


class Operands(NamedTuple):
    """What the kernel computes with: the input's spikes by row and by column, the codes of both weights, formats."""

    x_rows: Spikes
    x_columns: Spikes
    codes: tuple[Codes, Codes]
    grids: tuple[tuple[float, ...], ...]


def find_operands(x: Tensor, target: Tensor, hidden: LayerSettings, output: LayerSettings) -> Operands | None:
    """None where the kernel is not made for these numbers.

    It is for sparse spikes, weights of few bits, ordinary 8-bit errors and a batch of one block of rows.
    """
    p = hidden.lif
    formats = backward_grids(p.synapse_bits, p.membrane_bits, p.error_bits, p.threshold_mask)
    if p is not output.lif or len(formats[0]) != 2 or formats[2][1] > 127:
        return None
    tensors = x, target, hidden.weight, output.weight
    if x.dim() != 3 or not all(tensor.dtype == torch.float32 and tensor.numel() for tensor in tensors):
        return None
    H, N = hidden.weight.shape[-1], output.weight.shape[-1]
    if [tuple(tensor.shape) for tensor in tensors[1:]] != [(*x.shape[:2], N), (x.shape[2], H), (H, N)]:
        return None
    if isinstance(p.synapse_decay, Tensor) or isinstance(p.membrane_decay, Tensor):
        return None
    columns = known(x, "columns", column_lists)
    if not columns or len(columns.starts) > 1:
        return None
    codes = weight_codes(*hidden[:3]), weight_codes(*output[:3])
    if codes[0] is None or codes[1] is None or not _sums_fit(codes[0], codes[1], formats[2][1], output.weight.shape[1]):
        return None
    x_columns = Spikes(columns.starts[0], columns.ends[0], columns.indices)
    return Operands(known(x, "rows", spike_lists), x_columns, (codes[0], codes[1]), formats)


def _sums_fit(hidden: Codes, output: Codes, highest_error: float, num_outputs: int) -> bool:
    """Whether the kernel's integers hold the sums: of 16 products of weight and error, and of all as a float."""
    product = output.high * highest_error
    same = hidden.high == output.high and hidden.integers.dtype == output.integers.dtype == np.int8
    return same and 16 * product <= MULTIPLES and num_outputs * product <= 2**24


class Outputs(NamedTuple):
    """Tensors that the kernel fills, (T, B, neurons) each; pairs are of hidden and output layer."""

    currents: tuple[Tensor, ...]
    activities: tuple[Tensor, ...]
    grads: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]


def _outputs(x: Tensor, hidden: LayerSettings, output: LayerSettings) -> Outputs:
    """All in one piece of memory, each from a whole cache line on: one allocation instead of eight."""
    shapes = [(*x.shape[:-1], layer.weight.shape[1]) for layer in (hidden, output)]
    wanted = [*shapes, *((3, *shape) for shape in shapes), *shapes, hidden.weight.shape, output.weight.shape]
    sizes = [math.prod(shape) for shape in wanted]
    parts = empty(sum(-(-size // 16) * 16 for size in sizes)).split([-(-size // 16) * 16 for size in sizes])
    done = [part[:size].view(shape) for part, size, shape in zip(parts, sizes, wanted, strict=True)]
    return Outputs(*(tuple(done[first : first + 2]) for first in range(0, 8, 2)))


def _net_pass(outputs: Outputs, sizes: list[int], distance: float) -> NetPass:
    """The result, with the maxima that the kernel has found kept in mind."""
    layers = []
    for number, out in enumerate(outputs.activities):
        activity, gradient = LIFActivity(*out.unbind()), outputs.gradients[number]
        remember(activity.membrane, "largest", sizes[kernels.MEMBRANE + number])
        remember(gradient, "largest", sizes[kernels.GRADIENT + number])
        layers.append(LayerPass(outputs.currents[number], activity, outputs.grads[number], gradient))
    return NetPass(distance, *layers)


def fused_gradients(
    x: Tensor, target: Tensor, hidden: LayerSettings, output: LayerSettings, decay: float, tau: float
) -> NetPass | None:
    """`two_layers.compose_gradients`, or None where the kernel is not made for the numbers that come up."""
    operands = find_operands(x, target, hidden, output)
    if operands is None:
        return None
    outputs, p = _outputs(x, hidden, output), hidden.lif
    codes, kind, high = operands.codes, sum_kind(operands.codes[0]), int(operands.grids[2][1])
    currents, grads = (
        tuple(array(tensor).reshape(-1, tensor.shape[-1]) for tensor in pair)
        for pair in (outputs.currents, outputs.grads)
    )
    outs = tuple(array(out).reshape(3, len(x), -1) for out in outputs.activities)
    scratch = _scratch(tuple(x.shape[:2]), currents[0].shape[1], currents[1].shape[1], threading.get_ident())
    team = min(torch.get_num_threads(), MOST_THREADS)
    sizes, distance = np.zeros((kernels.NUM_SIZES, team), np.int32), np.zeros(1)
    states = run_together(
        kernels.gradients[np.dtype(kind)], team,
        tuple(operands.x_rows), tuple(operands.x_columns), tuple(c.integers for c in codes), tuple(c.step for c in codes),
        (LARGEST_SUM[kind] // codes[0].high, LARGEST_SUM[np.int16] // high, MULTIPLES // (codes[0].high * high)),
        np.empty(0, kind), tuple(decays(p, current.shape[1:]) for current in outputs.currents),
        (p.threshold, p.surrogate_slope, decay), tau, CHUNK, operands.grids, matrix(target),
        currents, outs, outs[0][0].reshape(currents[0].shape), grads, tuple(array(tensor) for tensor in outputs.gradients),
        *scratch, sizes, np.zeros(team, np.int64), distance,
    )  # fmt: skip
    return None if any(states) else _net_pass(outputs, sizes.max(1).tolist(), float(np.float32(distance[0])))
