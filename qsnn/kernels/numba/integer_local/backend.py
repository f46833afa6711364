"""The numba operations of local learning in integers: tensors in and out, the loops in `kernels` and `errors`.

What a kernel is not made for, widths of 1 or 16 bits and sums beyond 31, runs on its definition.
"""

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics.integer_local.fixed_point import highest_code, nearest_power, point
from qsnn.dynamics.integer_local.membrane import FRACTION as SUBTRACTED_FRACTION
from qsnn.dynamics.integer_local.membrane import IntegerMembrane
from qsnn.dynamics.integer_local.readout import (
    FRACTION,
    SLOPE_POINT,
    IntegerReadout,
    activity_term,
    largest_of,
    potential_term,
)
from qsnn.dynamics.integer_local.rounding import eta_exponent
from qsnn.dynamics.integer_local.traces import IntegerTraces
from qsnn.dynamics.local_readout import Activation, MembraneError
from qsnn.dynamics.refractory_lif import MembraneStep
from qsnn.dynamics.traces import TraceState
from qsnn.kernels.backend import GradientRounding, RoundedGradient
from qsnn.kernels.integer_local_backend import INTEGER_LOCAL_EAGER, IntegerLocalBackend
from qsnn.kernels.numba.integer_local import errors, kernels
from qsnn.kernels.numba.integer_local.convolutions import drive, weight_gradient
from qsnn.kernels.numba.runtime.arrays import array, maps
from qsnn.kernels.numba.runtime.openmp import share
from qsnn.quantization import RandomStream, advance
from qsnn.quantization.random_stream import GAMMA
from qsnn.quantization.reductions import ALONE, Reductions


def _rows(tensor: Tensor) -> np.ndarray:
    """(B, C, H, W) as (B, H*W*C)."""
    return maps(tensor).reshape(tensor.shape[0], tensor.shape[1:].numel())


def _per_neuron(constant: Tensor) -> np.ndarray:
    """(C, H, W) in the order of `_rows`, of 32 bits."""
    return array(constant.permute(1, 2, 0)).reshape(-1).astype(np.int32)


def _channels_last(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, memory_format=torch.channels_last)


def trace_step(spikes: Tensor, state: TraceState, traces: IntegerTraces) -> TraceState:
    """`traces.trace_step`, in place where the traces have the channels-last format."""
    t = traces
    if max(t.membrane_bits, t.synapse_bits) > 15 or max(t.largest_sums) >= 2**31:
        return INTEGER_LOCAL_EAGER.trace_step(spikes, state, traces)
    membrane, synapse = (trace.contiguous(memory_format=torch.channels_last) for trace in state)
    constants = (t.membrane_decay, t.membrane_gain, t.synapse_decay, t.synapse_gain)
    share(
        kernels.trace_step, len(spikes), 5 * spikes.numel(), _rows(spikes.to(torch.float32)), _rows(membrane), _rows(synapse),
        *(_per_neuron(constant) for constant in constants), t.shift, 2**t.membrane_bits - 1, 2**t.synapse_bits - 1,
    )  # fmt: skip
    return TraceState(membrane, synapse)


def _held_in_doubles(accumulator: Tensor, bias: Tensor, membrane: IntegerMembrane) -> bool:
    """Whether every number before the shift has at most 53 bits."""
    largest = {torch.float32: 2**24, torch.int32: 2**31}.get(accumulator.dtype)
    largest = int(accumulator.abs().max()) if largest is None else largest
    m, biases = membrane, int(bias.abs().max())
    subtracted = int(m.subtracted[-1]) << (m.drive.shift - SUBTRACTED_FRACTION)
    return m.drive.multiplier * (largest + biases) + subtracted + (1 << m.drive.shift) < 2**53


def membrane_step(accumulator: Tensor, bias: Tensor, refractory: Tensor, membrane: IntegerMembrane) -> MembraneStep:
    """`membrane.membrane_step`, the refractory state in place where it has the channels-last format."""
    m = membrane
    if m.membrane_bits == 1 or m.refractory_bits > 15 or not _held_in_doubles(accumulator, bias, m):
        return INTEGER_LOCAL_EAGER.membrane_step(accumulator, bias, refractory, membrane)
    B, C, H, W = accumulator.shape
    sums, after = (part.contiguous(memory_format=torch.channels_last) for part in (accumulator, refractory))
    codes = _channels_last((B, C, H, W), torch.int16)
    if m.pooling == 1:
        pooled, winner = codes, torch.arange(H * W, dtype=torch.int32).view(1, 1, H, W).expand(codes.shape)
    else:
        shape = (B, C, H // m.pooling, W // m.pooling)
        pooled, winner = _channels_last(shape, torch.int16), _channels_last(shape, torch.int32)
    totals, counts = np.empty(B, np.int64), np.empty(B, np.int64)
    step = 2.0**-m.drive.shift
    rest = 0.5 - array(m.subtracted) * 2.0**-SUBTRACTED_FRACTION
    share(
        kernels.membrane_step[maps(sums).dtype], B, 8 * codes.numel(), maps(sums), maps(after), maps(codes), maps(pooled),
        maps(winner[:0] if m.pooling == 1 else winner), totals, counts, m.pooling, np.tile(array(bias), W).astype(np.float64),
        m.drive.multiplier * step, rest, array(m.after).astype(np.int16), float(highest_code(m.membrane_bits)),
    )  # fmt: skip
    return MembraneStep(codes, after, pooled, winner, torch.tensor(totals.sum()), torch.tensor(counts.sum()))


def activate(pooled: Tensor, readout: IntegerReadout) -> Activation:
    """`readout.activate`."""
    spikes, feature = (_channels_last(pooled.shape, torch.float32) for _ in range(2))
    totals, table = np.empty(len(pooled)), array(readout.activation.to(torch.float32))
    rows = (_rows(pooled), table, highest_code(readout.membrane_bits), _rows(spikes), _rows(feature))
    share(kernels.activate, len(pooled), 5 * pooled.numel(), *rows, totals)
    return Activation(spikes, feature, feature, torch.from_numpy(totals).round().to(torch.int64))


def membrane_error(
    back: Tensor, step: MembraneStep, readout: IntegerReadout, samples: int | None = None, over: Reductions = ALONE
) -> MembraneError:
    """`readout.membrane_error`."""
    r, count, samples = readout, back.numel(), len(back) if samples is None else samples
    elsewhere = potential_term(int(step.total), step.count(samples), r)
    highest = highest_code(r.error_bits)
    activity = activity_term(samples * back.shape[1:].numel(), r)
    in_doubles = ((highest << FRACTION) + activity) * 2**SLOPE_POINT - elsewhere < 2**53
    if r.error_bits == 1 or back.dtype != torch.float32 or not in_doubles or not count:
        return INTEGER_LOCAL_EAGER.membrane_error(back, step, readout, samples, over)
    flat, u = maps(back).reshape(-1), maps(step.pooled).reshape(-1)
    most = largest_of(int(max(share(errors.largest, count, count, flat), default=0.0)), over)
    factor = 2.0 ** (point(r.error_bits) - nearest_power(most))
    terms = (factor, float(highest), float(activity), float(elsewhere))
    rest = (flat, u, array(r.slope.to(torch.float32)), highest_code(r.membrane_bits), terms)
    gaps = count < step.membrane.numel()
    size = int(max(share(errors.largest_gradient, count, 5 * count, *rest), default=0.0))
    shift = nearest_power(largest_of(max(size, abs(elsewhere) if gaps else 0), over)) - point(r.error_bits)
    codes = _channels_last(back.shape, torch.int16)
    share(errors.membrane_error, count, 8 * count, *rest, 2.0**-shift, maps(codes).reshape(-1))
    other = torch.tensor(max(-highest, min(highest, _half_even(elsewhere, shift))), dtype=torch.int16)
    return MembraneError(codes, step.winner, other, tuple(step.membrane.shape[2:]), r.error_bits)


def _half_even(x: int, shift: int) -> int:
    """`fixed_point.half_even` of one number."""
    return x << -shift if shift <= 0 else (x + (1 << shift - 1) - 1 + (x >> shift & 1)) >> shift


def round_gradient(gradient: Tensor, stream: RandomStream, rounding: GradientRounding) -> RoundedGradient:
    """`round_gradient`."""
    assert rounding.gradient_bits is not None
    flat, count = array(gradient).reshape(-1), gradient.numel()
    size = max(share(errors.largest_size, count, count, flat), default=0)
    shift = min(nearest_power(size) - eta_exponent(rounding.eta) - rounding.rng_bits, 62)
    out = torch.empty(gradient.shape)
    first = (stream.key + (stream.position + 1) * GAMMA) % 2**64
    arguments = (flat, first, rounding.rng_bits, shift, 2.0 ** -point(rounding.gradient_bits), array(out).reshape(-1))
    largest = max(share(errors.round_gradient, count, 20 * count, *arguments), default=0)
    return RoundedGradient(out, advance(stream, count), largest)


INTEGER_LOCAL_NUMBA = IntegerLocalBackend(
    "numba", trace_step, drive, membrane_step, activate, membrane_error, weight_gradient, round_gradient
)
