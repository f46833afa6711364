"""Distance and gradients of a net of two layers by the fused kernel, where it is made for the numbers at hand."""

import functools
import itertools
import math
import threading
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import LIFActivity
from qsnn.kernels import numba_two_layers as kernels
from qsnn.kernels.backend import LayerPass, LayerSettings, NetPass
from qsnn.kernels.numba_arrays import matrix
from qsnn.kernels.numba_buffers import block
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
    """What the kernel fills; pairs are of hidden and output layer. R = T*B rows, M = B*neurons columns."""

    currents: list[np.ndarray]
    """(R, neurons)"""
    activities: list[np.ndarray]
    """spikes, synapse, membrane: (3, T, M)"""
    grads: list[np.ndarray]
    """at the input currents: (R, neurons)"""
    gradients: list[np.ndarray]
    """of the weights"""


def _outputs(x: Tensor, layers: tuple[LayerSettings, LayerSettings]) -> Outputs:
    """All in one piece of memory, each from a whole cache line on: one allocation instead of eight."""
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
    return Outputs(parts[0:2], parts[2:4], parts[4:6], parts[6:8])


def _net_pass(outputs: Outputs, shape: tuple[int, ...], sizes: list[int], distance: float) -> NetPass:
    """The result for (T, B) steps and sequences, with the maxima that the kernel has found kept in mind."""
    layers = []
    for number, (current, activity, grad, gradient) in enumerate(zip(*outputs, strict=True)):
        tensors = [torch.from_numpy(part).view(*shape, -1) for part in (current, grad, *activity)]
        states, learned = LIFActivity(*tensors[2:]), torch.from_numpy(gradient)
        remember(states.membrane, "largest", sizes[kernels.MEMBRANE + number])
        remember(learned, "largest", sizes[kernels.GRADIENT + number])
        layers.append(LayerPass(tensors[0], states, tensors[1], learned))
    return NetPass(distance, *layers)


def fused_gradients(
    x: Tensor, target: Tensor, hidden: LayerSettings, output: LayerSettings, decay: float, tau: float
) -> NetPass | None:
    """`two_layers.compose_gradients`, or None where the kernel is not made for the numbers that come up."""
    operands = find_operands(x, target, hidden, output)
    if operands is None:
        return None
    outputs, p, (T, B, _) = _outputs(x, (hidden, output)), hidden.lif, x.shape
    codes, kind, high = operands.codes, sum_kind(operands.codes[0]), int(operands.grids[2][1])
    widths = hidden.weight.shape[1], output.weight.shape[1]
    scratch = _scratch((T, B), *widths, threading.get_ident())
    team = min(torch.get_num_threads(), MOST_THREADS)
    sizes, distance = np.zeros((kernels.NUM_SIZES, team), np.int32), np.zeros(1)
    state = run_together(
        kernels.gradients[np.dtype(kind)], team,
        tuple(operands.x_rows), tuple(operands.x_columns), tuple(c.integers for c in codes), tuple(c.step for c in codes),
        (LARGEST_SUM[kind] // codes[0].high, LARGEST_SUM[np.int16] // high, MULTIPLES // (codes[0].high * high)),
        np.empty(0, kind), tuple(decays(p, torch.Size((B, width))) for width in widths),
        (p.threshold, p.surrogate_slope, decay), tau, CHUNK, operands.grids, matrix(target),
        tuple(outputs.currents), tuple(outputs.activities), outputs.activities[0][0].reshape(T * B, -1),
        tuple(outputs.grads), tuple(outputs.gradients), *scratch, sizes, np.zeros(team, np.int64), distance,
    )  # fmt: skip
    if state != kernels.FINISHED:
        return None
    return _net_pass(outputs, (T, B), sizes.max(1).tolist(), float(np.float32(distance[0])))
