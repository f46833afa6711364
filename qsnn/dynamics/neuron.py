"""What every spiking neuron has: states of a step and of a sequence, what it tells a layer, and errors on their way back.

T time, B batch, N neurons.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from qsnn.quantization import quantize_errors
from qsnn.quantization.reductions import ALONE, Reductions

SPIKES = "a neuron whose spikes carry errors back through time"
INTEGER_STEP = "a neuron whose step is defined in integers"

Feedback = Callable[[Tensor], Tensor] | None
"""From a step of a recurrent layer to its neighbour in time, (B, N) to (B, N); None: the layer is not recurrent."""


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


class NeuronParameters(Protocol):
    """What any neuron tells a layer: its widths, and its recurrence in both directions; shapes as in `LIFActivity`.

    A neuron that is to learn in several processes takes ``over: Reductions = ALONE`` in `sequence_backward` too, and hands it
    to `masked_errors`: the maxima of a time step are then those of all parts of the batch.
    """

    @property
    def synapse_bits(self) -> int | None: ...  # noqa: D102
    @property
    def membrane_bits(self) -> int | None: ...  # noqa: D102
    @property
    def error_bits(self) -> int | None: ...  # noqa: D102

    def raw_states(self, state: LIFState, current: Tensor, spikes: Tensor) -> LIFState:
        """The states after a step, before they are quantized."""

    def sequence(self, current: Tensor, state: LIFState, feedback: Feedback = None) -> LIFActivity:
        """All time steps from ``state``: current (T, B, N) to spikes and states. ``feedback``: what spikes (B, N) of a step
        add to the current of the next one, written into ``current``."""

    def sequence_backward(
        self,
        grad_spikes: Tensor,
        current: Tensor,
        activity: LIFActivity,
        initial: LIFState,
        feedback: Feedback = None,
    ) -> Tensor:
        """Gradient at the input current from that at the spikes. ``feedback``: what the error at a step's current adds to the
        gradient at the spikes of the step before."""


def states_before(activity: LIFActivity, initial: LIFState) -> LIFState:
    """The states at the beginning of every step, (T, B, N) each: the initial state, then all but the last."""
    return LIFState(
        torch.cat([initial.synapse[None], activity.synapse[:-1]]),
        torch.cat([initial.membrane[None], activity.membrane[:-1]]),
    )


def masked_error(error: Tensor, mask: Tensor, error_bits: int | None) -> Tensor:
    """E: the quantized error of one time step where the forward value was in range, 0 elsewhere."""
    return masked_errors([(error, mask)], error_bits)[0]


def masked_errors(
    parts: Sequence[tuple[Tensor, Tensor | None]], error_bits: int | None, over: Reductions = ALONE
) -> list[Tensor]:
    """E of several errors and their masks, None for none, in one time step."""
    if error_bits is None:
        return [error for error, _ in parts]
    quantized = quantize_errors([error for error, _ in parts], error_bits, over)
    return [e if mask is None else e * mask for e, (_, mask) in zip(quantized, parts, strict=True)]


def spike_gradient(t: int, grad_spikes: Tensor, grad_current: Tensor, feedback: Feedback) -> Tensor:
    """``g_s[t]``: from what the spikes did to the loss and, through ``feedback``, to the next step's current."""
    if feedback is None or t + 1 == len(grad_current):
        return grad_spikes[t]
    return grad_spikes[t] + feedback(grad_current[t + 1])
