"""The leaky integrate-and-fire neuron without a synaptic filter, and its backward pass, in plain torch: the definition.

The input current acts on the membrane at once. T time, B batch, N neurons; Q is `quantize` with the membrane's format:

    v_thr = Q(mem - theta)     s[t] = 1 if v_thr > 0 else 0     mem' = Q(beta * mem + h[t] - s[t])

and back, with E = quantize_error over the step's (B, N), then the straight-through mask of the forward Q:

    e_thr = E(g_s[t] / (slope * |v_thr| + 1)^2)     e_mem = E(g_mem)     g_mem = beta * e_mem + e_thr     g_h[t] = e_mem

The reset carries no gradient. With ``error_bits=None`` E is the identity and no mask is applied. States, surrogate and mask
are those of `qsnn.dynamics.cuba_lif`, of which this is the case without a synapse.
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


class LeakyParameters(NamedTuple):
    """What the recurrence needs to know; ``membrane_decay``: beta, 1 for a neuron without a leak."""

    membrane_decay: float
    threshold: float
    surrogate_slope: float
    membrane_bits: int | None
    error_bits: int | None
    threshold_mask: bool = False
    synapse_bits: int | None = 0  # there is none
    surrogate_bits: int | None = None

    def raw_states(self, state: LIFState, current: Tensor, spikes: Tensor) -> LIFState:
        """The states after a step, before the membrane is quantized; the "synapse" is the input current itself."""
        return LIFState(current, self.membrane_decay * state.membrane + current - spikes)

    def sequence(self, current: Tensor, state: LIFState, feedback: Feedback = None) -> LIFActivity:
        """All time steps from ``state``: current (T, B, N) to spikes and states; ``feedback`` as in `cuba_lif`."""
        fmt, membrane = symmetric(self.membrane_bits), state.membrane
        spikes, membranes = torch.empty_like(current), torch.empty_like(current)
        for t in range(current.shape[0]):
            if feedback is not None and t > 0:
                current[t] += feedback(spikes[t - 1])
            spikes[t] = (quantize(membrane - self.threshold, fmt) > 0).to(current.dtype)
            membrane = quantize(self.membrane_decay * membrane + current[t] - spikes[t], fmt)
            membranes[t] = membrane
        return LIFActivity(spikes, current.clone(), membranes)

    def sequence_backward(
        self,
        grad_spikes: Tensor,
        current: Tensor,
        activity: LIFActivity,
        initial: LIFState,
        feedback: Feedback = None,
        over: Reductions = ALONE,
    ) -> Tensor:
        """Gradient at the input current (T, B, N) from that at the spikes, by the equations above."""
        fmt, before = symmetric(self.membrane_bits), states_before(activity, initial)
        distance = before.membrane - self.threshold
        mask_thr = in_range(distance, fmt if self.threshold_mask else None)
        mask_mem = in_range(self.raw_states(before, current, activity.spikes).membrane, fmt)
        surrogate = surrogate_of(before.membrane, self)
        grad_current, grad = torch.empty_like(current), torch.zeros_like(current[0])
        for t in reversed(range(current.shape[0])):
            grad_spike = spike_gradient(t, grad_spikes, grad_current, feedback)
            parts = (grad, mask_mem[t]), (through_threshold(grad_spike, surrogate[t], self), mask_thr[t])
            e_mem, e_thr = masked_errors(parts, self.error_bits, over)
            grad_current[t] = e_mem
            grad = self.membrane_decay * e_mem + e_thr.to(e_mem)
        return grad_current


@option("neuron", "lif")
@dataclass
class LIF(Option):
    """Leaky integrate-and-fire neuron without a synaptic filter."""

    gives: ClassVar[frozenset[str]] = frozenset({SPIKES, INTEGER_STEP})
    lacks: ClassVar[tuple[str, ...]] = ("synapse_bits",)

    dt: float = key(0.001, "length of a time step", "s", "time_step", at_least=SHORTEST_STEP, at_most=LONGEST_STEP)
    tau_mem: float = key(0.01, "membrane time constant", "s", "tau_mem", above=0)
    decay: str = key(
        "dyadic", "rule from tau_mem to a factor per step: exponential, euler or dyadic", choices=tuple(DECAY_RULES)
    )
    membrane_decay: float | None = key(None, "factor per step that overrides tau_mem; null: by the rule")
    decay_bits: int | None = key(
        None, "decays become multipliers m / 2^decay_bits, the nearest; null: not rounded", "bits", "none",
        at_least=1, at_most=16,
    )  # fmt: skip
    threshold: float = key(0.9, "a neuron spikes when its membrane exceeds it", above=0)
    surrogate_slope: float = key(1.0, "slope of the SuperSpike surrogate gradient", at_least=0, at_most=MAX_FACTOR)
    threshold_mask: bool = key(
        False, "stop errors at membranes too far below the threshold for the state's format; false: none dies"
    )

    def problems(self) -> Iterator[str]:
        """A decay outside [0, 1)."""
        values = self.tau_mem, self.dt, self.decay, "membrane_decay", self.membrane_decay
        if self.in_bounds("tau_mem", "dt", "decay"):
            yield from decay_problems("neuron", "tau_mem", *values)

    def float_quantities(self, config: Any) -> Iterator[str]:
        """A decay that is no multiplier over a power of two."""
        given, decay = self.membrane_decay, self.build(None, None, None).membrane_decay
        yield from inexact_decay("neuron", "tau_mem", self.decay, "membrane_decay", given, decay, can_round=True)

    def build(self, synapse_bits: int | None, membrane_bits: int | None, error_bits: int | None) -> LeakyParameters:
        """The parameters of a layer of these neurons; there is no synapse to have bits."""
        decay = decay_of(self.tau_mem, self.dt, self.decay, self.membrane_decay, self.decay_bits)
        return LeakyParameters(
            decay, self.threshold, self.surrogate_slope, membrane_bits, error_bits, self.threshold_mask
        )
