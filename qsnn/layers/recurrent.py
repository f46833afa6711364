"""A fully connected layer whose spikes come back to it one step later.

``h[t] = x[t] @ (q(w)/scale) + s[t-1] @ (q(w_r)/scale_r)``, s the layer's own spikes, ``s[-1] = 0``. Back, the error of a step's
current goes one step back as it is, on the error grid already, ``g_s[t-1] += e_syn[t] @ (q(w_r)/scale_r)^T``, and
``dw_r = sum_t s[t-1]^T e_h[t]`` with ``e_h = quantize_error(g_h)`` of the whole sequence, as for w.
"""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.dynamics import LIFActivity, LIFState, NeuronParameters
from qsnn.dynamics.surrogate import range_of
from qsnn.kernels.backend import LayerSettings
from qsnn.layers.activity import SpikingActivity, raw_lif_states
from qsnn.layers.linear import QuantizedLinear
from qsnn.layers.stored_weight import StoredWeights


class _RecurrentSequence(torch.autograd.Function):
    """Drive (T, B, N) and recurrent weights to spikes, states and the whole current; only the spikes carry a gradient."""

    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, weight: Tensor, state: LIFState, layer: "RecurrentLinear"
    ) -> tuple[Tensor, ...]:
        ctx.layer = layer
        current, activity = layer.recurrent.backend.recurrent_sequence(
            drive, state, layer.dynamics, layer.recurrent.settings()
        )
        ctx.save_for_backward(current, *activity, *state)
        ctx.mark_non_differentiable(activity.synapse, activity.membrane, current)
        return *activity, current

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        layer: RecurrentLinear = ctx.layer
        current, *rest = ctx.saved_tensors
        activity, initial = LIFActivity(*rest[:3]), LIFState(*rest[3:])
        weights, backend, bits = layer.recurrent.settings(), layer.recurrent.backend, layer.recurrent.error_bits
        grad = backend.recurrent_sequence_backward(grads[0], current, activity, initial, layer.dynamics, weights)
        error = backend.quantize_error(grad, bits)
        return grad, backend.recurrent_gradient(activity.spikes, error, bits), None, None


class RecurrentLinear(nn.Module):
    """Input spikes (T, B, I) to `SpikingActivity` and the last state; ``linear`` (I, N), ``recurrent`` (N, N)."""

    def __init__(self, linear: QuantizedLinear, recurrent: QuantizedLinear, neuron: NeuronParameters) -> None:
        super().__init__()
        self.linear, self.recurrent, self.dynamics = linear, recurrent, neuron

    def forward(self, x: Tensor, state: LIFState | None = None) -> tuple[SpikingActivity, LIFState]:
        """Input spikes (T, B, I), or maps of I pixels, and state (None: at rest) to activity (T, B, N) and last state (B, N).

        The spikes before the first step count as none, also where a state is given.
        """
        drive = self.linear(x.flatten(2))
        state = LIFState.zeros(drive[0]) if state is None else state
        spikes, synapse, membrane, current = _RecurrentSequence.apply(drive, self.recurrent.weight, state, self)
        return SpikingActivity(current, spikes, synapse, membrane, spikes, drive), LIFState(synapse[-1], membrane[-1])

    def weights(self) -> dict[str, StoredWeights]:
        """``weight`` and ``recurrent_weight``."""
        return {"weight": self.linear, "recurrent_weight": self.recurrent}

    def state_widths(self) -> tuple[int | None, int | None]:
        """Bits of synapse and membrane."""
        return self.dynamics.synapse_bits, self.dynamics.membrane_bits

    @property
    def state_range(self) -> float:
        """`range_of` its neurons."""
        return range_of(self.dynamics)

    def raw_states(self, activity: SpikingActivity) -> LIFState:
        """`raw_lif_states`."""
        return raw_lif_states(activity, self.dynamics)

    def settings(self) -> LayerSettings:
        """The layer as `Backend.loss_gradients` wants it."""
        return LayerSettings(*self.linear.settings(), self.dynamics, self.recurrent.settings())

    @property
    def num_neurons(self) -> int:
        """N."""
        return self.linear.weight.shape[1]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(N,)."""
        return (self.num_neurons,)
