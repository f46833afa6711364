"""Whole convolutional layers in one kernel each way, where the neuron and the widths allow it."""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFParameters, LIFState, NeuronParameters
from qsnn.kernels.backend import ConvolutionPass, ConvolutionSettings
from qsnn.kernels.numba.convolution import neurons
from qsnn.kernels.numba.convolution.geometry import Kernel, Places
from qsnn.kernels.numba.convolution.products import Drive, convolution_current, drive_of, kernel_of
from qsnn.kernels.numba.neurons.states import states, surrogate
from qsnn.kernels.numba.products.products import Spikes
from qsnn.kernels.numba.rounding.calls import backward_grids, largest, state_grids
from qsnn.kernels.numba.rounding.scalars import INFINITY
from qsnn.kernels.numba.runtime.arrays import array, matrix
from qsnn.kernels.numba.runtime.buffers import empty
from qsnn.kernels.numba.runtime.memory import remember
from qsnn.kernels.numba.runtime.team import run_together
from qsnn.kernels.numba.runtime.threads import split

NEURONS = 4000  # that a thread must have in each step of the way back, to be worth their meeting


class Tape(NamedTuple):
    """What the way back needs, see `neurons`: (T, M) ``masks``, (T, windows) ``winners`` and their ``membranes``."""

    masks: Tensor
    winners: Tensor
    membranes: Tensor

    @classmethod
    def empty(cls, num_steps: int, neurons: int, windows: int) -> "Tape":
        """Of any content."""
        return cls(_bytes(num_steps, neurons), _bytes(num_steps, windows), empty(num_steps, windows))


def is_plain(neuron: LIFParameters, pooling: int) -> bool:
    """Whether the kernels are made for it: one decay for all neurons, all states and errors quantized."""
    if pooling > neurons.LARGEST_WINDOW:
        return False
    if isinstance(neuron.synapse_decay, Tensor) or isinstance(neuron.membrane_decay, Tensor):
        return False
    widths = neuron.synapse_bits, neuron.membrane_bits, neuron.error_bits
    # One bit has no zero: neurons that are no winners would have errors as well. Other fields than these are other equations.
    return None not in widths and 1 not in widths and neuron == LIFParameters(*neuron[:10])


def _bytes(rows: int, columns: int) -> Tensor:
    return empty(-(-rows * columns // 4)).view(torch.uint8)[: rows * columns].view(rows, columns)


def _is_finite(state: LIFState | None) -> bool:
    return state is None or all(largest(part) < INFINITY for part in state)


def sequence(
    x: Tensor, state: LIFState | None, layer: ConvolutionSettings, neuron: NeuronParameters, pooling: int
) -> ConvolutionPass | None:
    """`qsnn.kernels.convolution.compose_sequence` in one kernel; None if it is not made for this."""
    kernel, numbers = kernel_of(x, layer), (x.dtype, layer.weight.dtype)
    if numbers != (torch.float32,) * 2 or not x.numel() or min(kernel.maps[1:]) < pooling or not _is_finite(state):
        return None
    if not isinstance(neuron, LIFParameters) or not is_plain(neuron, pooling):
        return None
    if (
        state is not None and neuron.surrogate_bits is not None
    ):  # membranes that are no codes have no place in its table
        return None
    return _sequence(x, state, layer, kernel, neuron, pooling)


def _no_drive() -> Drive:
    """Of a current that is there already."""
    none = np.empty(0, np.int64)
    lists = Spikes(none, none, np.empty(0, np.int32))
    return Drive(lists, (np.empty(0, np.int16), 0, 0, 0.0), Places(none, none, none, 0, 0), np.int16(0), 0)


def _sequence(
    x: Tensor, state: LIFState | None, layer: ConvolutionSettings, kernel: Kernel, p: LIFParameters, pooling: int
) -> ConvolutionPass | None:
    (T, B), (channels, height, width), drive = x.shape[:2], kernel.maps, drive_of(x, layer)
    shape, windows = torch.Size((B, channels * height * width)), (channels, height // pooling, width // pooling)
    if drive is None:
        current = convolution_current(x.flatten(0, 1), layer).view(T, *shape)
        if largest(current) >= INFINITY:
            return None
    else:
        current = empty(T, *shape)
    lists, weights, places, zero, work = drive or _no_drive()
    out, output, tape = empty(3, T, *shape), empty(T, B, *windows), Tape.empty(T, shape.numel(), B * math.prod(windows))
    constants = p.synapse_decay, p.membrane_decay, p.threshold
    formats = state_grids(p.synapse_bits, p.membrane_bits, p.state_range)
    sizes = split(
        neurons.forward[zero.dtype], B, work + 10 * current.numel(), (tuple(lists), weights, tuple(places), zero), kernel.maps,
        pooling, matrix(current), states(state, shape), constants, formats, array(out).reshape(3, T, -1),
        matrix(output), tuple(map(array, tape)),
    )  # fmt: skip
    activity = LIFActivity(*out.unbind())
    remember(activity.membrane, "largest", max(sizes))
    return ConvolutionPass(current, activity, output, kernel.maps, tape)


@functools.lru_cache(maxsize=64)
def _windows(height: int, width: int, pooling: int) -> tuple[np.ndarray, np.ndarray]:
    """The corner of each window in a map, and from there each place of a window."""
    y, x = np.indices((height // pooling, width // pooling)) * pooling
    dy, dx = np.indices((pooling, pooling))
    return (y * width + x).reshape(-1), (dy * width + dx).reshape(-1)


def sequence_backward(grad: Tensor, done: ConvolutionPass, neuron: NeuronParameters, pooling: int) -> Tensor | None:
    """`qsnn.kernels.convolution.compose_sequence_backward` in one kernel, from the tape; None if there is none."""
    if done.tape is None or grad.dtype != torch.float32:
        return None
    assert isinstance(neuron, LIFParameters)
    tape, p, (channels, height, width) = done.tape, neuron, done.maps
    T, B = grad.shape[:2]
    _, mem, err, passing = backward_grids(
        p.synapse_bits, p.membrane_bits, p.error_bits, p.threshold_mask, p.state_range
    )
    errors, factor = empty(T, grad[0].numel()), surrogate(p)
    arguments = matrix(grad), array(tape.membranes), p.threshold, factor, (mem, err, passing), array(errors)
    if not all(split(neurons.threshold_errors[len(factor)], T, 8 * grad.numel(), *arguments)):
        return None
    out, corners = empty(*done.current.shape), _windows(height, width, pooling)
    team = max(1, min(torch.get_num_threads(), out[0].numel() // NEURONS, B * channels))
    size = run_together(
        neurons.backward, team, np.empty((2, team, 16), np.int32), B * channels, array(errors), array(tape.winners),
        array(tape.masks), *corners, (p.synapse_decay, p.membrane_decay), err, matrix(out),
    )  # fmt: skip
    remember(out, "largest", size)
    return out
