"""The integrator, a neuron without threshold, spike and reset: what a membrane readout is made of. The definition.

T time, B batch, N neurons; Q is `quantize` with the format of both states. Like the threshold of a LIF neuron, the readout sees
the membrane from before the step:

    out[t] = mem        syn' = Q(alpha * syn + h[t])        mem' = Q(beta * mem + syn)

and back, with E = quantize_error over the step's (B, N), then the straight-through mask of the forward Q:

    e_out = quantize_error(g_out[t])      e_mem = E(g_mem)      e_syn = E(g_syn)
    g_mem = beta * e_mem + e_out          g_syn = alpha * e_syn + e_mem          g_h[t] = e_syn

With ``error_bits=None`` both are the identity and no mask is applied. With few bits it freezes: at tau 200 ms and steps of 2 ms
a code below half the range rounds to itself, so that 8 bits hold for ever what they have reached.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics.neuron import LIFState, masked_errors
from qsnn.quantization import in_range, quantize, symmetric
from qsnn.quantization.reductions import ALONE, Reductions


class IntegratorParameters(NamedTuple):
    """Decays are factors per step; ``integrator_bits``: of both states."""

    synapse_decay: float
    membrane_decay: float
    integrator_bits: int | None
    error_bits: int | None


class IntegratorActivity(NamedTuple):
    """A sequence, (T, B, N) each: the readout, and the states after each step."""

    output: Tensor
    synapse: Tensor
    membrane: Tensor


def raw_integrator(state: LIFState, current: Tensor, parameters: IntegratorParameters) -> LIFState:
    """The states after a step, before they are quantized."""
    return LIFState(
        parameters.synapse_decay * state.synapse + current,
        parameters.membrane_decay * state.membrane + state.synapse,
    )


def integrator_sequence(current: Tensor, state: LIFState, parameters: IntegratorParameters) -> IntegratorActivity:
    """All time steps from ``state``: current (T, B, N) to `IntegratorActivity`."""
    activity, fmt = (
        IntegratorActivity(*(torch.empty_like(current) for _ in range(3))),
        symmetric(parameters.integrator_bits),
    )
    for t in range(current.shape[0]):
        activity.output[t] = state.membrane
        state = LIFState(*(quantize(raw, fmt) for raw in raw_integrator(state, current[t], parameters)))
        activity.synapse[t], activity.membrane[t] = state
    return activity


def integrator_backward(
    grad_output: Tensor,
    current: Tensor,
    activity: IntegratorActivity,
    initial: LIFState,
    p: IntegratorParameters,
    over: Reductions = ALONE,
) -> Tensor:
    """Gradient at the input current, ``g_h`` (T, B, N), from that at the readout (T, B, N). ``over``: all parts."""
    fmt, synapse = symmetric(p.integrator_bits), torch.cat([initial.synapse[None], activity.synapse[:-1]])
    raw = raw_integrator(LIFState(synapse, activity.output), current, p)
    mask_mem, mask_syn = in_range(raw.membrane, fmt), in_range(raw.synapse, fmt)
    grad_current, grad = torch.empty_like(current), LIFState.zeros(current[0])
    for t in reversed(range(current.shape[0])):
        parts = (grad.membrane, mask_mem[t]), (grad.synapse, mask_syn[t]), (grad_output[t], None)
        e_mem, e_syn, e_out = masked_errors(parts, p.error_bits, over)
        grad_current[t] = e_syn
        grad = LIFState(p.synapse_decay * e_syn + e_mem, p.membrane_decay * e_mem + e_out)
    return grad_current
