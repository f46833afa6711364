"""The numba operations on sequences of recurrent layers, of neurons without a synaptic filter, and of membrane readouts."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFParameters, LIFState, NeuronParameters
from qsnn.dynamics.integrator import IntegratorActivity, IntegratorParameters
from qsnn.dynamics.lif import LeakyParameters
from qsnn.kernels.backend import WeightSettings
from qsnn.kernels.eager import EAGER, EXACT_SUM
from qsnn.kernels.numba.neurons import lif, recurrent, stepwise
from qsnn.kernels.numba.neurons.states import decays, states, surrogate
from qsnn.kernels.numba.products.blocks import GROUP, ErrorWeights, grouped, has_dot_products, padded_columns
from qsnn.kernels.numba.products.products import LARGEST_SUM, Codes, weight_codes
from qsnn.kernels.numba.rounding.calls import backward_grids, grid, or_eager, state_grids, tell_of_definition
from qsnn.kernels.numba.runtime.arrays import array, matrix
from qsnn.kernels.numba.runtime.buffers import empty
from qsnn.kernels.numba.runtime.memory import remember
from qsnn.kernels.numba.runtime.team import run_together
from qsnn.kernels.numba.runtime.threads import split
from qsnn.quantization.reductions import ALONE, Reductions

NEURONS = 1000  # that a thread must have in each step of the backward recurrence, to be worth their meeting
NO_CODES = np.empty((0, 0), np.int16), np.empty(0, np.int32)


def has_kernel(parameters: NeuronParameters) -> bool:
    """Whether the kernels know the neuron; else it is told, once."""
    if isinstance(parameters, LIFParameters | LeakyParameters) and type(parameters) in (LIFParameters, LeakyParameters):
        return parameters.surrogate_bits is None or parameters.error_bits is not None  # which has no kernel
    tell_of_definition(type(parameters).__name__)
    return False


def _cuba(parameters: NeuronParameters) -> LIFParameters:
    """The same neuron as one with a synapse, of the membrane's width, which its kernels leave out."""
    if isinstance(parameters, LIFParameters):
        return parameters
    assert isinstance(parameters, LeakyParameters)
    p = parameters
    return LIFParameters(
        0.0, p.membrane_decay, p.threshold, p.surrogate_slope, p.membrane_bits, p.membrane_bits, p.error_bits,
        p.threshold_mask, p.surrogate_bits,
    )  # fmt: skip


def _summed_codes(codes: Codes, size: int, ordinary: bool) -> tuple[np.ndarray, np.ndarray]:
    """The codes of ``size`` recurrent weights a neuron, and an empty array of the type that holds all their sums."""
    if ordinary and codes.integers.dtype == np.int8 and size * codes.high <= LARGEST_SUM[np.int16]:
        return codes.integers, np.empty(0, np.int16)
    return codes.integers.astype(np.int16, copy=False), np.empty(0, np.int32)


def _forward(current: Tensor, state: LIFState | None, parameters: NeuronParameters, codes: Codes | None) -> LIFActivity:
    """`sequence`, the feedback added to ``current``."""
    p, (T, B, N), out = _cuba(parameters), current.shape, empty(3, *current.shape)
    formats = state_grids(p.synapse_bits, p.membrane_bits, p.state_range)
    integers, kind = NO_CODES if codes is None else _summed_codes(codes, N, len(formats[0]) == 2)
    spikes = array(out[0]).view(np.int32)
    sizes = split(
        recurrent.recurrent_forward[len(formats[0]), integers.dtype], B, 3 * current.numel(),
        N, isinstance(parameters, LeakyParameters), array(current).reshape(T, -1), integers, kind,
        1.0 if codes is None else codes.step, states(state, current.shape[1:]), decays(p, current.shape[1:]), p.threshold,
        *formats, spikes, array(out).reshape(3, T, -1),
    )  # fmt: skip
    activity = LIFActivity(*out.unbind())
    remember(activity.membrane, "largest", max(sizes))
    return activity


NO_WEIGHTS = ErrorWeights(np.empty((0, 0), np.float64), np.empty(0, np.int32), 1.0)


def _backward(
    grad_spikes: Tensor, current: Tensor, activity: LIFActivity, initial: LIFState | None,
    parameters: NeuronParameters, weights: ErrorWeights, over: Reductions = ALONE,
) -> Tensor:  # fmt: skip
    """`sequence_backward`."""
    p, (B, N), out = _cuba(parameters), current.shape[1:], empty(*current.shape)
    formats = backward_grids(p.synapse_bits, p.membrane_bits, p.error_bits, p.threshold_mask, p.state_range)
    team = max(1, min(torch.get_num_threads(), B, B * N // NEURONS))
    integers = weights.weights.dtype == np.int8
    columns, factor = weights.weights.shape[1] // (GROUP if integers else 1), surrogate(p)
    arguments = (
        isinstance(parameters, LeakyParameters), *weights, np.zeros((B, -(-N // GROUP) * GROUP), np.int8),
        np.empty((B, columns), np.float32 if integers else weights.weights.dtype),
        *(matrix(tensor) for tensor in (grad_spikes, current, *activity)), states(initial, current.shape[1:]),
        decays(p, current.shape[1:]), p.threshold, factor, formats,
    )  # fmt: skip
    kinds = len(formats[0]), weights.weights.dtype, len(factor)
    if over is not ALONE:
        return _step_by_step(stepwise.backward_step[kinds], arguments, over, out)
    size = run_together(
        recurrent.recurrent_backward[kinds], team, np.empty((2, team, 16), np.int32), *arguments, array(out)
    )
    remember(out, "largest", size)
    return out


def _step_by_step(kernel: Any, arguments: tuple[Any, ...], over: Reductions, out: Tensor) -> Tensor:
    """The same with maxima over all parts in every step; ``arguments``: of the whole sequence."""
    T, M = out.shape[0], out[0].numel()
    old, new = np.zeros((2, M), np.float32), np.empty((2, M), np.float32)
    thr = np.empty(M, np.float32 if len(arguments[-2]) == 1 else np.float64)
    sizes, summed, filled = np.zeros(4, np.int32), np.empty((1, M), np.float32), array(out)
    maxima = torch.from_numpy(sizes[:3]).view(torch.float32)
    kernel(T, sizes, *arguments, old, new, thr, summed, filled)
    for t in reversed(range(T)):
        maxima.copy_(over.largest(maxima))
        kernel(t, sizes, *arguments, old, new, thr, summed, filled)
        old, new = new, old
    remember(out, "largest", int(sizes[3]))
    return out


def leaky_sequence(current: Tensor, state: LIFState | None, parameters: LeakyParameters) -> LIFActivity:
    """`LeakyParameters.sequence`."""
    return _forward(current, state, parameters, None)


def leaky_sequence_backward(
    grad_spikes: Tensor,
    current: Tensor,
    activity: LIFActivity,
    initial: LIFState | None,
    parameters: LeakyParameters | LIFParameters,
    over: Reductions = ALONE,
) -> Tensor:
    """`sequence_backward` of a neuron without recurrent weights, for one with a synapse where a step has to ask ``over``."""
    return _backward(grad_spikes, current, activity, initial, parameters, NO_WEIGHTS, over)


@or_eager("recurrent_sequence")
def recurrent_sequence(
    drive: Tensor, state: LIFState | None, parameters: NeuronParameters, weights: WeightSettings
) -> tuple[Tensor, LIFActivity]:
    """`eager.recurrent_sequence`: for each spike of a step the row of its weights' codes, in the next step."""
    codes = weight_codes(*weights) if has_kernel(parameters) else None
    if codes is None or drive.shape[2:] != weights.weight.shape[1:] or len(weights.weight) * codes.high > EXACT_SUM:
        return EAGER.recurrent_sequence(drive, state, parameters, weights)
    current = empty(*drive.shape)
    current.copy_(drive)
    return current, _forward(current, state, parameters, codes)


def _turned(weights: WeightSettings, parameters: NeuronParameters) -> ErrorWeights | None:
    """The quantized weights by output, of a type that holds every sum of their products with errors; None in full precision."""
    codes = None if None in (parameters.error_bits, weights.weight_bits) else weight_codes(*weights)
    if codes is None:
        return None
    N, (levels, high, _) = len(weights.weight), grid(parameters.error_bits)
    p = _cuba(parameters)
    ordinary = len(backward_grids(p.synapse_bits, p.membrane_bits, p.error_bits, False)[0]) == 2
    fits = ordinary and N * codes.high * high <= EXACT_SUM
    if fits and codes.integers.dtype == np.int8 and high <= 127 and has_dot_products():
        return grouped(codes.integers, N, codes.step / levels)
    turned = np.zeros((N, padded_columns(N)), np.float32 if fits else np.float64)
    np.multiply(codes.integers[:, :N].T, codes.step, out=turned[:, :N], casting="unsafe")
    return NO_WEIGHTS._replace(weights=turned)


@or_eager("recurrent_sequence_backward")
def recurrent_sequence_backward(
    grad_spikes: Tensor,
    current: Tensor,
    activity: LIFActivity,
    initial: LIFState | None,
    parameters: NeuronParameters,
    weights: WeightSettings,
    over: Reductions = ALONE,
) -> Tensor:
    """`eager.recurrent_sequence_backward`: the errors of a step times the weights, a step earlier."""
    turned = _turned(weights, parameters) if has_kernel(parameters) else None
    if turned is None or current.shape[2:] != weights.weight.shape[1:]:
        return EAGER.recurrent_sequence_backward(grad_spikes, current, activity, initial, parameters, weights, over)
    return _backward(grad_spikes, current, activity, initial, parameters, turned, over)


@functools.cache
def _as_lif(p: IntegratorParameters) -> LIFParameters:
    """An integrator as a neuron with a threshold out of reach, and a surrogate of 1."""
    bits = p.integrator_bits
    return LIFParameters(p.synapse_decay, p.membrane_decay, float("inf"), 0.0, bits, bits, p.error_bits, False)


@or_eager("integrator_sequence")
def integrator_sequence(
    current: Tensor, state: LIFState | None, parameters: IntegratorParameters
) -> IntegratorActivity:
    """`qsnn.dynamics.integrator.integrator_sequence`."""
    p, shape, out = _as_lif(parameters), current.shape[1:], empty(3, *current.shape)
    formats, initial = state_grids(p.synapse_bits, p.membrane_bits), states(state, shape)
    sizes = split(
        lif.lif_forward[len(formats[0])], shape.numel(), 3 * current.numel(),
        matrix(current), initial, decays(p, shape), p.threshold, *formats, array(out).reshape(3, len(current), -1),
    )  # fmt: skip
    output, synapse, membrane = out.unbind()
    output[0], output[1:] = torch.from_numpy(initial[1]).view(shape), membrane[:-1]
    remember(membrane, "largest", max(sizes))
    return IntegratorActivity(output, synapse, membrane)


@or_eager("integrator_sequence_backward")
def integrator_sequence_backward(
    grad_output: Tensor,
    current: Tensor,
    activity: IntegratorActivity,
    initial: LIFState | None,
    parameters: IntegratorParameters,
    over: Reductions = ALONE,
) -> Tensor:
    """`integrator_backward`: `lif_backward` of neurons that never spiked, whose threshold is 0 so that it stays finite."""
    if over is not ALONE:
        recorded = LIFActivity(torch.zeros_like(current), activity.synapse, activity.membrane)
        neuron = _as_lif(parameters)._replace(threshold=0.0)
        return leaky_sequence_backward(grad_output, current, recorded, initial, neuron, over)
    p, shape, out = _as_lif(parameters), current.shape[1:], empty(*current.shape)
    formats = backward_grids(p.synapse_bits, p.membrane_bits, p.error_bits, False)
    known = (grad_output, current, torch.zeros_like(current), activity.synapse, activity.membrane)
    size = run_together(
        lif.lif_backward[len(formats[0]), 1], 1, np.empty((2, 1, 16), np.int32), *(matrix(tensor) for tensor in known),
        states(initial, shape), decays(p, shape), 0.0, (0.0,), formats, matrix(out),
    )  # fmt: skip
    remember(out, "largest", size)
    return out
