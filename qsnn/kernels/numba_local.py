"""The numba operations of local learning: tensors in and out, the loops in `numba_local_kernels`."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from qsnn.dynamics.local_gradient import WeightGradient, trace_codes, trace_unit
from qsnn.dynamics.local_readout import (
    Activation,
    MembraneError,
    ReadoutError,
    ReadoutParameters,
    activity_gradient,
    potential_gradient,
)
from qsnn.dynamics.refractory_lif import MembraneStep, RefractoryParameters
from qsnn.dynamics.traces import TraceParameters, TraceState
from qsnn.kernels import numba_local_kernels as kernels
from qsnn.kernels.local_backend import LOCAL_EAGER, LocalBackend
from qsnn.kernels.numba_arrays import array, maps
from qsnn.kernels.numba_winners import winner_products
from qsnn.quantization import Format, potential, symmetric, unsigned


def _format(fmt: Format | None) -> tuple[float, float]:
    """Levels and highest code: levels of 0 for full precision, below 0 for the format of one bit, without a zero."""
    if fmt is None:
        return (0.0, 0.0)
    return (float(fmt.levels) if fmt.has_zero else -1.0, float(fmt.high))


def _rows(tensor: Tensor) -> np.ndarray:
    """(B, C, H, W) as (B, H*W*C)."""
    return maps(tensor).reshape(tensor.shape[0], -1)


def _per_neuron(constant: Tensor) -> np.ndarray:
    """(C, H, W) in the order of `_rows`."""
    return array(constant.permute(1, 2, 0)).reshape(-1)


def _channels_last(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


def trace_step(spikes: Tensor, state: TraceState, parameters: TraceParameters) -> TraceState:
    """`traces.trace_step`, on copies in the channels-last format where the traces have another, else in place."""
    p = parameters
    membrane, synapse = (trace.contiguous(memory_format=torch.channels_last) for trace in state)
    constants = (p.membrane_decay, p.membrane_gain, p.synapse_decay, p.synapse_gain)
    kernels.trace_step(
        _rows(spikes), _rows(membrane), _rows(synapse), *(_per_neuron(constant) for constant in constants),
        _format(unsigned(p.membrane_trace_bits)), _format(unsigned(p.synapse_trace_bits)),
        p.membrane_full_scale, p.synapse_full_scale,
    )  # fmt: skip
    return TraceState(membrane, synapse)


def membrane_step(drive: Tensor, refractory: Tensor, parameters: RefractoryParameters) -> MembraneStep:
    """`refractory_lif.membrane_step`, in the memory of its arguments where they have the channels-last format."""
    p = parameters
    B, C, H, W = drive.shape
    membrane, after = (part.contiguous(memory_format=torch.channels_last) for part in (drive, refractory))
    sums = np.zeros(C * H * W)
    formats = _format(unsigned(p.refractory_bits)), _format(potential(p.membrane_bits))
    count = torch.tensor(
        kernels.membrane_step(_rows(membrane), _rows(after), sums, p.decay, p.full_scale, *formats, p.scale)
    )
    total = torch.tensor(sums.sum())
    if p.pooling == 1:
        winner = torch.arange(H * W, dtype=torch.int32).view(1, 1, H, W).expand(drive.shape)
        return MembraneStep(membrane, after, membrane, winner, total, count)
    small = (B, C, H // p.pooling, W // p.pooling)
    pooled, winner = _channels_last(small), _channels_last(small, torch.int32)
    kernels.pool(maps(membrane), maps(pooled), maps(winner), p.pooling)
    return MembraneStep(membrane, after, pooled, winner, total, count)


def activate(pooled: Tensor, sigmoid_bits: int | None) -> Activation:
    """`local_readout.activate`. The sigmoid is torch's in every backend: libraries differ in its last bit."""
    value = pooled.sigmoid()
    spikes, feature = _channels_last(pooled.shape), _channels_last(pooled.shape)
    sums = np.zeros(pooled[0].numel())
    rows = (_rows(part) for part in (pooled, value, spikes, feature))
    kernels.activate(*rows, sums, _format(unsigned(sigmoid_bits)))
    return Activation(spikes, value, feature, torch.tensor(sums.sum()))


def readout_error(readout: Tensor, target: Tensor, mask: Tensor, error_bits: int | None) -> ReadoutError:
    """`local_readout.readout_error`."""
    if error_bits is None:
        return LOCAL_EAGER.readout_error(readout, target, mask, error_bits)
    error = torch.empty(readout.shape)
    flat = (array(part).reshape(-1) for part in (readout, target, mask, error))
    return ReadoutError(error, torch.tensor(kernels.readout_error(*flat, _format(symmetric(error_bits)))))


def membrane_error(
    back: Tensor, activation: Tensor, step: MembraneStep, parameters: ReadoutParameters
) -> MembraneError:
    """`local_readout.membrane_error`."""
    p = parameters
    error = back.clone(memory_format=torch.channels_last)
    l1_term, l2_term = (
        activity_gradient(back.numel(), p),
        potential_gradient(step.mean(), step.membrane.numel(), p).item(),
    )
    gaps, fmt = error.numel() < step.membrane.numel(), _format(symmetric(p.error_bits))
    flat = (maps(part).reshape(-1) for part in (error, activation))
    elsewhere = torch.tensor(kernels.through_sigmoid(*flat, l1_term, l2_term, gaps, fmt))
    return MembraneError(error, step.winner, elsewhere, tuple(step.membrane.shape[2:]), p.error_bits)


def weight_gradient(
    error: MembraneError, trace: Tensor, weight: Tensor, padding: int, parameters: TraceParameters
) -> WeightGradient:
    """`local_gradient.weight_gradient`, behind a pooling from the winners alone."""
    places = error.size[0] * error.size[1]
    if error.at_winners[0, 0].numel() == places:
        return LOCAL_EAGER.weight_gradient(error, trace, weight, padding, parameters)
    elsewhere = error.elsewhere.item()
    sums = winner_products(error, trace, weight.shape[-1], padding, parameters)
    if elsewhere != 0:
        sums += elsewhere * box_sums(trace_codes(trace, parameters), error.size, padding)
    bias = error.at_winners.sum((0, 2, 3), dtype=torch.float64)
    bias += elsewhere * (trace.shape[0] * (places - error.at_winners[0, 0].numel()))
    return WeightGradient((sums * trace_unit(parameters)).float(), bias.float())


def box_sums(maps: Tensor, size: tuple[int, ...], padding: int) -> Tensor:
    """(C, k, k) in double: the sum over batch and over the places (of ``size``) of all that a weight's input shows there."""
    total = maps.sum(0, dtype=torch.float64).unsqueeze(1)
    return functional.conv2d(total, total.new_ones(1, 1, *size), padding=padding).squeeze(1)


LOCAL_NUMBA = LocalBackend("numba", trace_step, membrane_step, activate, readout_error, membrane_error, weight_gradient)
