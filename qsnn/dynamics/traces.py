"""The two traces of a local-learning layer's input: what its neurons know of past spikes, and all that they learn from.

Source: [DECOLLE] equations 1 and 2 in discrete time, with the number formats of [ICONS]; NUMERICS section 4.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.quantization import divide, quantize, unsigned


class TraceParameters(NamedTuple):
    """Constants of the traces. Decays and gains: one for each input neuron, (C, H, W); full scales: plain numbers.

    ``membrane_decay`` alpha, ``synapse_decay`` beta, ``membrane_gain`` a = 1/(1 - alpha), ``synapse_gain`` b = 1/(1 - beta).
    """

    membrane_decay: Tensor
    synapse_decay: Tensor
    membrane_gain: Tensor
    synapse_gain: Tensor
    membrane_full_scale: float
    synapse_full_scale: float
    membrane_trace_bits: int | None
    synapse_trace_bits: int | None


class TraceState(NamedTuple):
    """``membrane``: P; ``synapse``: Q; both (B, C, H, W), without unit, at least 0 unless in full precision."""

    membrane: Tensor
    synapse: Tensor


def fixed_point(values: Tensor, decay_bits: int | None) -> Tensor:
    """``values`` rounded to multiples of 2^-decay_bits; as they are for None."""
    return values if decay_bits is None else (values * 2**decay_bits).round() / 2**decay_bits


def decay_factors(tau: Tensor, dt: float, decay_bits: int | None = None) -> Tensor:
    """``1 - dt/tau`` (euler), rounded to fixed point but never up to 1, with which nothing would decay."""
    highest = 1.0 if decay_bits is None else 1 - 2.0**-decay_bits
    return fixed_point(1 - dt / tau, decay_bits).clamp(max=highest)


def trace_parameters(
    tau_mem: Tensor,
    tau_syn: Tensor,
    dt: float,
    trace_cap: float = 1.0,
    membrane_trace_bits: int | None = None,
    synapse_trace_bits: int | None = None,
    decay_bits: int | None = None,
) -> TraceParameters:
    """Decays by euler, and the largest value that each trace can reach.

        alpha = 1 - dt/tau_mem     a = 1/(1 - alpha)     Q_max = max(b / (1 - beta))
        beta  = 1 - dt/tau_syn     b = 1/(1 - beta)      P_max = max(a Q_max / (1 - alpha))

    Time constants (C, H, W) and ``dt`` in seconds. ``trace_cap`` in (0, 1] lowers both full scales. ``decay_bits`` rounds
    decays (to at most 1 - 2^-decay_bits) and gains to multiples of 2^-decay_bits; None leaves them.
    """
    alpha, beta = decay_factors(tau_mem, dt, decay_bits), decay_factors(tau_syn, dt, decay_bits)
    a, b = fixed_point(1 / (1 - alpha), decay_bits), fixed_point(1 / (1 - beta), decay_bits)
    synapse_max = (b / (1 - beta)).max()
    membrane_max = (a * synapse_max / (1 - alpha)).max()
    scales = (trace_cap * membrane_max).item(), (trace_cap * synapse_max).item()
    return TraceParameters(alpha, beta, a, b, *scales, membrane_trace_bits, synapse_trace_bits)


def quantize_trace(trace: Tensor, full_scale: float, bits: int | None) -> Tensor:
    """``full_scale * quantize_unsigned(trace / full_scale, bits)``; the identity for None."""
    return trace if bits is None else full_scale * quantize(divide(trace, full_scale), unsigned(bits))


def raw_traces(spikes: Tensor, state: TraceState, parameters: TraceParameters) -> TraceState:
    """The traces after input spikes x (B, C, H, W), before they go to their grids; P uses the old Q.

    P = alpha P + a Q     Q = beta Q + b x
    """
    p = parameters
    membrane = p.membrane_decay * state.membrane + p.membrane_gain * state.synapse
    return TraceState(membrane, p.synapse_decay * state.synapse + p.synapse_gain * spikes)


def trace_step(spikes: Tensor, state: TraceState, parameters: TraceParameters) -> TraceState:
    """`raw_traces`, then both to their grids."""
    p, raw = parameters, raw_traces(spikes, state, parameters)
    return TraceState(
        quantize_trace(raw.membrane, p.membrane_full_scale, p.membrane_trace_bits),
        quantize_trace(raw.synapse, p.synapse_full_scale, p.synapse_trace_bits),
    )


def zero_traces(like: Tensor) -> TraceState:
    """The state before the first step, of the shape and memory format of ``like``, an input (B, C, H, W)."""
    return TraceState(torch.zeros_like(like), torch.zeros_like(like))
