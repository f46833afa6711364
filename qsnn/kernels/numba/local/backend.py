"""The numba operations of local learning: tensors in and out, the loops in `kernels`."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics.local_drive import WeightGrid
from qsnn.dynamics.local_gradient import WeightGradient, total_of, trace_codes, trace_unit
from qsnn.dynamics.local_readout import (
    Activation,
    MembraneError,
    ReadoutError,
    ReadoutParameters,
    activity_gradient,
    potential_gradient,
    sigmoid,
)
from qsnn.dynamics.refractory_lif import MembraneStep, RefractoryParameters
from qsnn.dynamics.traces import TraceParameters, TraceState
from qsnn.kernels.local_backend import LOCAL_EAGER, LocalBackend
from qsnn.kernels.numba.local import code_convolutions, errors, kernels
from qsnn.kernels.numba.local.code_convolutions import box_sums
from qsnn.kernels.numba.local.winners import winner_products
from qsnn.kernels.numba.runtime.arrays import array, maps
from qsnn.kernels.numba.runtime.openmp import share
from qsnn.quantization import Format, potential, symmetric, unsigned
from qsnn.quantization.reductions import ALONE, Reductions


def _format(fmt: Format | None) -> tuple[float, float]:
    """Levels and highest code: levels of 0 for full precision, below 0 for the format of one bit, without a zero."""
    if fmt is None:
        return (0.0, 0.0)
    return (float(fmt.levels) if fmt.has_zero else -1.0, float(fmt.high))


def _rows(tensor: Tensor) -> np.ndarray:
    """(B, C, H, W) as (B, H*W*C)."""
    return maps(tensor).reshape(tensor.shape[0], tensor.shape[1:].numel())


def _per_neuron(constant: Tensor) -> np.ndarray:
    """(C, H, W) in the order of `_rows`."""
    return array(constant.permute(1, 2, 0)).reshape(-1)


def _channels_last(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


def _max(sizes: Iterable[float], over: Reductions = ALONE) -> float:
    """The largest, NaN if there is one; 0 of none."""
    own = float(np.max(np.fromiter(sizes, np.float64), initial=0.0))
    return own if over is ALONE else float(over.largest(torch.tensor([own], dtype=torch.float64)))


def trace_step(spikes: Tensor, state: TraceState, parameters: TraceParameters) -> TraceState:
    """`traces.trace_step`, on copies in the channels-last format where the traces have another, else in place."""
    p = parameters
    membrane, synapse = (trace.contiguous(memory_format=torch.channels_last) for trace in state)
    constants = (p.membrane_decay, p.membrane_gain, p.synapse_decay, p.synapse_gain)
    share(
        kernels.trace_step, len(spikes), 10 * spikes.numel(),
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
    if p.pooling == 1:
        pooled, winner = membrane, torch.arange(H * W, dtype=torch.int32).view(1, 1, H, W).expand(drive.shape)
    else:
        pooled, winner = (
            _channels_last((B, C, H // p.pooling, W // p.pooling), kind) for kind in (torch.float32, torch.int32)
        )
    totals, counts = np.empty(B), np.empty(B, np.int64)
    share(
        kernels.membrane_step, B, 6 * drive.numel(), maps(membrane), maps(after), maps(pooled),
        maps(winner[:0] if p.pooling == 1 else winner), totals, counts, p.pooling, p.decay, p.full_scale,
        _format(unsigned(p.refractory_bits)), _format(potential(p.membrane_bits)), p.scale,
    )  # fmt: skip
    return MembraneStep(membrane, after, pooled, winner, torch.tensor(totals.sum()), torch.tensor(counts.sum()))


def activate(pooled: Tensor, sigmoid_bits: int | None) -> Activation:
    """`local_readout.activate`. The sigmoid is torch's in every backend: libraries differ in its last bit."""
    value = sigmoid(pooled)
    spikes, feature = _channels_last(pooled.shape), _channels_last(pooled.shape)
    totals = np.empty(len(pooled))
    rows = (_rows(part) for part in (pooled, value, spikes, feature))
    share(kernels.activate, len(pooled), 5 * pooled.numel(), *rows, totals, _format(unsigned(sigmoid_bits)))
    return Activation(spikes, value, feature, torch.from_numpy(totals))


def readout_error(readout: Tensor, target: Tensor, mask: Tensor, error_bits: int | None) -> ReadoutError:
    """`local_readout.readout_error`."""
    if error_bits is None:
        return LOCAL_EAGER.readout_error(readout, target, mask, error_bits)
    error = torch.empty(readout.shape)
    flat = (array(part).reshape(-1) for part in (readout, target, mask, error))
    return ReadoutError(error, torch.tensor(errors.readout_error(*flat, _format(symmetric(error_bits)))))


def membrane_error(
    back: Tensor,
    activation: Tensor,
    step: MembraneStep,
    parameters: ReadoutParameters,
    samples: int | None = None,
    over: Reductions = ALONE,
) -> MembraneError:
    """`local_readout.membrane_error`."""
    p, samples = parameters, len(back) if samples is None else samples
    error = back.clone(memory_format=torch.channels_last)
    l1_term, l2_term = (
        activity_gradient(samples * back.shape[1:].numel(), p),
        potential_gradient(step.mean(samples), step.count(samples), p).item(),
    )
    fmt, count = _format(symmetric(p.error_bits)), error.numel()
    flat, elsewhere = maps(error).reshape(-1), np.full(1, l2_term, np.float32)
    scale = 1.0 if p.error_bits is None else errors.shift(_max(share(errors.largest, count, count, flat), over))
    rest = (maps(activation).reshape(-1), scale, l1_term, l2_term, fmt)
    most = share(errors.through_sigmoid, count, 5 * count, flat, *rest)
    if p.error_bits is not None:
        gaps = count < step.membrane.numel()
        scale = errors.shift(_max((*most, abs(l2_term)) if gaps else most, over))
        share(errors.quantize_part, count, 3 * count, flat, scale, fmt)
        errors.quantize_part(0, 1, elsewhere, scale, fmt)
    size = tuple(step.membrane.shape[2:])
    return MembraneError(error, step.winner, torch.from_numpy(elsewhere)[0], size, p.error_bits)


def weight_gradient(
    error: MembraneError,
    trace: Tensor,
    weight: Tensor,
    padding: int,
    parameters: TraceParameters,
    over: Reductions = ALONE,
) -> WeightGradient:
    """`local_gradient.weight_gradient`, of codes in integers, and behind a pooling from the winners alone."""
    if not len(trace):
        return LOCAL_EAGER.weight_gradient(error, trace, weight, padding, parameters, over)
    found = code_convolutions.weight_gradient(error, trace, weight, padding, parameters, over)
    if found is not None:
        return found
    places = error.size[0] * error.size[1]
    if error.at_winners[0, 0].numel() == places:
        return LOCAL_EAGER.weight_gradient(error, trace, weight, padding, parameters, over)
    elsewhere = error.elsewhere.item()
    sums, bias = winner_products(error, trace, weight.shape[-1], padding, parameters)
    if elsewhere != 0:
        sums += elsewhere * box_sums(trace_codes(trace, parameters), error.size, padding)
    bias += elsewhere * (trace.shape[0] * (places - error.at_winners[0, 0].numel()))
    whole = total_of(WeightGradient(sums, bias), over)
    return WeightGradient((whole.weight * trace_unit(parameters)).float(), whole.bias.float())


def drive(
    trace: Tensor, weight: Tensor, bias: Tensor, padding: int, grid: WeightGrid, parameters: TraceParameters
) -> Tensor:
    """`local_drive.drive`, of codes in integers."""
    found = code_convolutions.drive(trace, weight, bias, padding, grid, parameters)
    return LOCAL_EAGER.drive(trace, weight, bias, padding, grid, parameters) if found is None else found


def convolve_codes(codes: Tensor, weight: Tensor, padding: int) -> Tensor:
    """`code_products.convolve_codes`."""
    found = code_convolutions.convolve_codes(codes, weight, padding)
    return LOCAL_EAGER.convolve_codes(codes, weight, padding) if found is None else found


def correlate_codes(errors: Tensor, codes: Tensor, size: int, padding: int) -> Tensor:
    """`code_products.correlate_codes`."""
    found = code_convolutions.correlate_codes(errors, codes, size, padding)
    return LOCAL_EAGER.correlate_codes(errors, codes, size, padding) if found is None else found


LOCAL_NUMBA = LocalBackend(
    "numba", trace_step, membrane_step, activate, readout_error, membrane_error, weight_gradient,
    drive, convolve_codes, correlate_codes,
)  # fmt: skip
