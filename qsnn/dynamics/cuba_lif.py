"""The current-based leaky integrate-and-fire recurrence and its backward pass, in plain torch: the definition.

T time, B batch, N neurons. Q_syn and Q_mem are `quantize` with the formats of the two states, symmetric(bits) times
``state_range``. One time step [ISCAS]:

    v_thr = Q_mem(mem - theta)               s[t] = 1 if v_thr > 0 else 0
    syn'  = Q_syn(alpha * syn + h[t])        mem' = Q_mem(beta * mem + syn - s[t])

and back, with E = quantize_error over the step's (B, N), then the straight-through mask of the forward Q:

    e_thr = E(g_s[t] / (slope * |v_thr| + 1)^2)      e_mem = E(g_mem)      e_syn = E(g_syn)
    g_mem = beta * e_mem + e_thr                     g_syn = alpha * e_syn + e_mem                g_h[t] = e_syn

The reset carries no gradient. With ``error_bits=None`` E is the identity and no mask is applied.

The mask of e_thr stops the errors of a membrane below theta - 127/128 (8 bits): a neuron that is further from spiking in
every step learns nothing any more. Without ``threshold_mask`` they pass; e_mem and e_syn are masked as ever.

With ``surrogate_bits`` the division is a product with a table of integers (`qsnn.dynamics.surrogate`), in double.

A ``state_range`` of 1 is [ISCAS]: with theta at 0.9 a state ends little above the threshold, and what many inputs add is lost,
with its errors. A range of 4 costs two of the bits below the threshold, and keeps both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics.neuron import (
    INTEGER_STEP,
    SPIKES,
    Feedback,
    LIFActivity,
    LIFState,
    masked_errors,
    spike_gradient,
    states_before,
)
from qsnn.dynamics.surrogate import surrogate_of, through_threshold
from qsnn.dynamics.time_constants import (
    DECAY_RULES,
    LONGEST_STEP,
    SHORTEST_STEP,
    decay_of,
    decay_problems,
    inexact_decay,
)
from qsnn.options import MAX_FACTOR, Option, key, option
from qsnn.quantization import in_range, quantize, symmetric
from qsnn.quantization.reductions import ALONE, Reductions

STATE_RANGES = (1.0, 2.0, 4.0, 8.0, 16.0)


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
    surrogate_bits: int | None = None
    state_range: float = 1.0

    def raw_states(self, state: LIFState, current: Tensor, spikes: Tensor) -> LIFState:
        """`raw_states`."""
        return raw_states(state, current, spikes, self)

    def sequence(self, current: Tensor, state: LIFState, feedback: Feedback = None) -> LIFActivity:
        """`lif_sequence`."""
        return lif_sequence(current, state, self, feedback)

    def sequence_backward(
        self,
        grad_spikes: Tensor,
        current: Tensor,
        activity: LIFActivity,
        initial: LIFState,
        feedback: Feedback = None,
        over: Reductions = ALONE,
    ) -> Tensor:
        """`lif_sequence_backward`."""
        return lif_sequence_backward(grad_spikes, current, activity, initial, self, feedback, over)


def threshold_distance(membrane: Tensor, parameters: LIFParameters) -> Tensor:
    """``v_thr = Q_mem(mem - theta)``; the neuron spikes where it is positive."""
    return quantize(membrane - parameters.threshold, symmetric(parameters.membrane_bits, parameters.state_range))


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
        quantize(raw.synapse, symmetric(parameters.synapse_bits, parameters.state_range)),
        quantize(raw.membrane, symmetric(parameters.membrane_bits, parameters.state_range)),
    )


def lif_sequence(current: Tensor, state: LIFState, parameters: LIFParameters, feedback: Feedback = None) -> LIFActivity:
    """All time steps from ``state``: current (T, B, N) to `LIFActivity`; its last states are the final state.

    ``feedback``: what the spikes of a step add to the current of the next one; before the first step there were none.
    """
    activity = LIFActivity(*(torch.empty_like(current) for _ in range(3)))
    for t in range(current.shape[0]):
        if feedback is not None and t > 0:
            current[t] += feedback(activity.spikes[t - 1])
        spikes, state = lif_step(current[t], state, parameters)
        activity.spikes[t], activity.synapse[t], activity.membrane[t] = spikes, state.synapse, state.membrane
    return activity


def lif_sequence_backward(
    grad_spikes: Tensor,
    current: Tensor,
    activity: LIFActivity,
    initial: LIFState,
    parameters: LIFParameters,
    feedback: Feedback = None,
    over: Reductions = ALONE,
) -> Tensor:
    """Gradient at the input current, ``g_h`` (T, B, N), from that at the spikes (T, B, N), by the equations above.

    ``feedback``: what ``g_h[t + 1]`` adds to ``g_s[t]``; ``over``: all parts of the batch.
    """
    bits, full_scale = parameters.error_bits, parameters.state_range
    mem_format, syn_format = (
        symmetric(parameters.membrane_bits, full_scale),
        symmetric(parameters.synapse_bits, full_scale),
    )
    before = states_before(activity, initial)
    raw = raw_states(before, current, activity.spikes, parameters)
    passing = mem_format if parameters.threshold_mask else None
    mask_thr = in_range(before.membrane - parameters.threshold, passing)
    mask_mem, mask_syn = in_range(raw.membrane, mem_format), in_range(raw.synapse, syn_format)
    surrogate = surrogate_of(before.membrane, parameters)

    grad_current = torch.empty_like(current)
    grad = LIFState.zeros(current[0])
    for t in reversed(range(current.shape[0])):
        grad_spike = spike_gradient(t, grad_spikes, grad_current, feedback)
        at_threshold = through_threshold(grad_spike, surrogate[t], parameters)
        parts = (grad.membrane, mask_mem[t]), (grad.synapse, mask_syn[t]), (at_threshold, mask_thr[t])
        e_mem, e_syn, e_thr = masked_errors(parts, bits, over)
        grad_current[t] = e_syn
        e_thr = e_thr.to(e_mem.dtype)
        grad = LIFState(parameters.synapse_decay * e_syn + e_mem, parameters.membrane_decay * e_mem + e_thr)
    return grad_current


@option("neuron", "cuba_lif")
@dataclass
class CubaLIF(Option):
    """Current-based LIF neuron: a filtered synaptic current, a leaky membrane, reset by subtraction."""

    gives: ClassVar[frozenset[str]] = frozenset({SPIKES, INTEGER_STEP})

    dt: float = key(0.001, "length of a time step", "s", "time_step", at_least=SHORTEST_STEP, at_most=LONGEST_STEP)
    tau_mem: float = key(0.01, "membrane time constant", "s", "tau_mem", above=0)
    tau_syn: float = key(0.005, "synapse time constant", "s", "tau_syn", above=0)
    decay: str = key(
        "dyadic", "rule from tau to a factor per step: exponential, euler or dyadic", choices=tuple(DECAY_RULES)
    )
    membrane_decay: float | None = key(
        None, "factor per step that overrides tau_mem; null: by the rule", "", "beta (0.875)"
    )
    synapse_decay: float | None = key(
        None, "factor per step that overrides tau_syn; null: by the rule", "", "alpha (0.75)"
    )
    decay_bits: int | None = key(
        None, "decays become multipliers m / 2^decay_bits, the nearest; null: not rounded", "bits", "none",
        at_least=1, at_most=16,
    )  # fmt: skip
    threshold: float = key(0.9, "a neuron spikes when its membrane exceeds it", "", "0.9, fixed", above=0)
    surrogate_slope: float = key(
        1.0, "slope of the SuperSpike surrogate gradient", "", "100, fixed", at_least=0, at_most=MAX_FACTOR
    )
    threshold_mask: bool = key(
        False,
        "stop errors at membranes too far below the threshold for the state's format; false: none dies",
        "",
        "true, fixed",
    )
    state_range: float = key(
        1.0,
        "membrane and synapse reach from -state_range to state_range, in as many steps: more room, less resolution",
        "",
        "1, fixed",
        choices=STATE_RANGES,
    )

    def problems(self) -> Iterator[str]:
        """Decays outside [0, 1)."""
        for tau, factor in (("tau_mem", "membrane_decay"), ("tau_syn", "synapse_decay")):
            values = getattr(self, tau), self.dt, self.decay, factor, getattr(self, factor)
            if self.in_bounds(tau, "dt", "decay"):
                yield from decay_problems("neuron", tau, *values)

    def float_quantities(self, config: Any) -> Iterator[str]:
        """Decays that are no multiplier over a power of two."""
        parameters = self.build(None, None, None)
        for tau, name in (("tau_mem", "membrane_decay"), ("tau_syn", "synapse_decay")):
            decay = float(getattr(parameters, name))
            yield from inexact_decay("neuron", tau, self.decay, name, getattr(self, name), decay, can_round=True)

    def build(self, synapse_bits: int | None, membrane_bits: int | None, error_bits: int | None) -> LIFParameters:
        """The parameters of a layer of these neurons."""
        return LIFParameters(
            synapse_decay=decay_of(self.tau_syn, self.dt, self.decay, self.synapse_decay, self.decay_bits),
            membrane_decay=decay_of(self.tau_mem, self.dt, self.decay, self.membrane_decay, self.decay_bits),
            threshold=self.threshold,
            surrogate_slope=self.surrogate_slope,
            synapse_bits=synapse_bits,
            membrane_bits=membrane_bits,
            error_bits=error_bits,
            threshold_mask=self.threshold_mask,
            state_range=self.state_range,
        )
