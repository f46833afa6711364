"""The current-based leaky integrate-and-fire recurrence and its backward pass, in plain torch: the definition.

T time, B batch, N neurons. Q_syn and Q_mem are `quantize` with the formats of the two states. One time step [ISCAS]:

    v_thr = Q_mem(mem - theta)               s[t] = 1 if v_thr > 0 else 0
    syn'  = Q_syn(alpha * syn + h[t])        mem' = Q_mem(beta * mem + syn - s[t])

and back, with E = quantize_error over the step's (B, N), then the straight-through mask of the forward Q:

    e_thr = E(g_s[t] / (slope * |v_thr| + 1)^2)      e_mem = E(g_mem)      e_syn = E(g_syn)
    g_mem = beta * e_mem + e_thr                     g_syn = alpha * e_syn + e_mem                g_h[t] = e_syn

The reset carries no gradient. With ``error_bits=None`` E is the identity and no mask is applied.

The mask of e_thr stops the errors of a membrane below theta - 127/128 (8 bits): a neuron that is further from spiking in
every step learns nothing any more. Without ``threshold_mask`` they pass; e_mem and e_syn are masked as ever.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.quantization import in_range, quantize, quantize_error, symmetric


class LIFParameters(NamedTuple):
    """What the recurrence needs to know. Decays are factors per step: a float, or a tensor (N,) for one per neuron."""

    synapse_decay: float | Tensor
    membrane_decay: float | Tensor
    threshold: float
    surrogate_slope: float
    synapse_bits: int | None
    membrane_bits: int | None
    error_bits: int | None
    threshold_mask: bool = True


class LIFState(NamedTuple):
    """Synapse and membrane, (B, N) each."""

    synapse: Tensor
    membrane: Tensor

    @classmethod
    def zeros(cls, like: Tensor) -> "LIFState":
        """The state at rest, of the shape, dtype and device of ``like``."""
        return cls(torch.zeros_like(like), torch.zeros_like(like))


class LIFActivity(NamedTuple):
    """A sequence: spikes, and the states after each step, (T, B, N) each."""

    spikes: Tensor
    synapse: Tensor
    membrane: Tensor


def threshold_distance(membrane: Tensor, parameters: LIFParameters) -> Tensor:
    """``v_thr = Q_mem(mem - theta)``; the neuron spikes where it is positive."""
    return quantize(membrane - parameters.threshold, symmetric(parameters.membrane_bits))


def raw_states(state: LIFState, current: Tensor, spikes: Tensor, parameters: LIFParameters) -> LIFState:
    """The states after a step, before they are quantized. Uses the synapse from before the step for the membrane."""
    return LIFState(
        parameters.synapse_decay * state.synapse + current,
        parameters.membrane_decay * state.membrane + state.synapse - spikes,
    )


def lif_step(current: Tensor, state: LIFState, parameters: LIFParameters) -> tuple[Tensor, LIFState]:
    """One time step: input current (B, N) and state to spikes (B, N) and the next state."""
    spikes = (threshold_distance(state.membrane, parameters) > 0).to(current.dtype)
    raw = raw_states(state, current, spikes, parameters)
    return spikes, LIFState(
        quantize(raw.synapse, symmetric(parameters.synapse_bits)),
        quantize(raw.membrane, symmetric(parameters.membrane_bits)),
    )


def lif_sequence(current: Tensor, state: LIFState, parameters: LIFParameters) -> LIFActivity:
    """All time steps from ``state``: current (T, B, N) to `LIFActivity`; its last states are the final state."""
    activity = LIFActivity(*(torch.empty_like(current) for _ in range(3)))
    for t in range(current.shape[0]):
        spikes, state = lif_step(current[t], state, parameters)
        activity.spikes[t], activity.synapse[t], activity.membrane[t] = spikes, state.synapse, state.membrane
    return activity


def states_before(activity: LIFActivity, initial: LIFState) -> LIFState:
    """The states at the beginning of every step, (T, B, N) each: the initial state, then all but the last."""
    return LIFState(
        torch.cat([initial.synapse[None], activity.synapse[:-1]]),
        torch.cat([initial.membrane[None], activity.membrane[:-1]]),
    )


def surrogate_gradient(distance: Tensor, slope: float) -> Tensor:
    """SuperSpike [Zenke & Ganguli 2018, equation 14]: ``1 / (slope * |v_thr| + 1)^2``, as a divisor of the error."""
    return (slope * distance.abs() + 1).square()


def _masked_error(error: Tensor, mask: Tensor, error_bits: int | None) -> Tensor:
    """E: the quantized error of one time step where the forward value was in range, 0 elsewhere."""
    return error if error_bits is None else quantize_error(error, error_bits) * mask


def lif_sequence_backward(
    grad_spikes: Tensor, current: Tensor, activity: LIFActivity, initial: LIFState, parameters: LIFParameters
) -> Tensor:
    """Gradient at the input current, ``g_h`` (T, B, N), from that at the spikes (T, B, N), by the equations above."""
    bits, mem_format = parameters.error_bits, symmetric(parameters.membrane_bits)
    before = states_before(activity, initial)
    raw = raw_states(before, current, activity.spikes, parameters)
    passing = mem_format if parameters.threshold_mask else None
    mask_thr = in_range(before.membrane - parameters.threshold, passing)
    mask_mem, mask_syn = in_range(raw.membrane, mem_format), in_range(raw.synapse, symmetric(parameters.synapse_bits))
    surrogate = surrogate_gradient(threshold_distance(before.membrane, parameters), parameters.surrogate_slope)
    grad_threshold = grad_spikes / surrogate

    grad_current = torch.empty_like(current)
    grad = LIFState.zeros(current[0])
    for t in reversed(range(current.shape[0])):
        e_mem = _masked_error(grad.membrane, mask_mem[t], bits)
        e_syn = _masked_error(grad.synapse, mask_syn[t], bits)
        e_thr = _masked_error(grad_threshold[t], mask_thr[t], bits)
        grad_current[t] = e_syn
        grad = LIFState(parameters.synapse_decay * e_syn + e_mem, parameters.membrane_decay * e_mem + e_thr)
    return grad_current
