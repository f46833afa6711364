"""The traces of a local-learning layer in codes: one multiplier for each input and term, and a shift.

With decays alpha and beta rounded to k = decay_bits fractional bits, gains a = 1/(1 - alpha), b = 1/(1 - beta), full scales
Q_max = cap max(b/(1 - beta)), P_max = cap max(a max(b/(1 - beta)) / (1 - alpha)), a code p stands for P_max 2^-pb p, so that

    P1 = alpha 2^k      P2 = rint(a Q_max / P_max 2^(pb - qb) 2^k)      Q1 = beta 2^k      Q2 = rint(b / Q_max 2^qb 2^k)

in double. Decays are exact; P2 and Q2 are off by 2^-(k+1), of P2 some 2^-(k+1) / 0.03 of its size in the papers' net. How many
codes that moves beside the float equations: docs/decisions/0022-integer-local-learning.md.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics.integer_local.fixed_point import code_type, constant, half_up
from qsnn.dynamics.traces import TraceState


class IntegerTraces(NamedTuple):
    """Multipliers, int64 (C, H, W), of P and Q in P' and of Q and x in Q'; ``shift`` k; ``full_scale`` P_max in steps;
    ``largest_sums``: the largest that P' and Q' can be before they are shifted, half of a step included."""

    membrane_decay: Tensor
    membrane_gain: Tensor
    synapse_decay: Tensor
    synapse_gain: Tensor
    shift: int
    membrane_bits: int
    synapse_bits: int
    full_scale: float
    largest_sums: tuple[int, int]


def integer_traces(
    tau_mem: Tensor,
    tau_syn: Tensor,
    dt: float,
    trace_cap: float,
    membrane_bits: int,
    synapse_bits: int,
    decay_bits: int,
) -> IntegerTraces:
    """From time constants (C, H, W) in seconds. Raises ConfigError for multipliers of more than 53 bits."""
    one = 2.0**decay_bits
    decays = [((1 - dt / tau.double()) * one).round().clamp(max=one - 1) for tau in (tau_mem, tau_syn)]
    rise, steps = (1 / (1 - decay / one) for decay in decays)
    synapse_max = (steps * steps).max()
    membrane_max = (rise * rise * synapse_max).max() * trace_cap
    synapse_max = synapse_max * trace_cap
    membrane_gain = rise * synapse_max / membrane_max * 2.0 ** (membrane_bits - synapse_bits) * one
    synapse_gain = steps / synapse_max * 2.0**synapse_bits * one
    for gain in (membrane_gain, synapse_gain):
        constant(gain.max().item())
    whole = [part.round().to(torch.int64) for part in (decays[0], membrane_gain, decays[1], synapse_gain)]
    highest, half = (2**membrane_bits - 1, 2**synapse_bits - 1), 1 << decay_bits >> 1
    sums = whole[0] * highest[0] + whole[1] * highest[1], whole[2] * highest[1] + whole[3]
    return IntegerTraces(
        whole[0], whole[1], whole[2], whole[3], decay_bits, membrane_bits, synapse_bits, membrane_max.item(),
        (int(sums[0].max()) + half, int(sums[1].max()) + half),
    )  # fmt: skip


def raw_traces(spikes: Tensor, state: TraceState, traces: IntegerTraces) -> TraceState:
    """The sums of products that `trace_step` shifts by k, int64."""
    t = traces
    p, q, x = (part.to(torch.int64) for part in (*state, spikes))
    return TraceState(t.membrane_decay * p + t.membrane_gain * q, t.synapse_decay * q + t.synapse_gain * x)


def trace_step(spikes: Tensor, state: TraceState, traces: IntegerTraces) -> TraceState:
    """The traces after input ``spikes`` (B, C, H, W), whole numbers of any type.

    p' = min((P1 p + P2 q + half) >> k, 2^pb - 1)     q' = clamp((Q1 q + Q2 x + half) >> k, 0, 2^qb - 1)
    """
    raw = raw_traces(spikes, state, traces)
    return TraceState(
        *(
            half_up(codes, traces.shift).clamp(0, 2**bits - 1).to(code_type(bits, signed=False))
            for codes, bits in zip(raw, (traces.membrane_bits, traces.synapse_bits), strict=True)
        )
    )
