"""A membrane readout: fully connected, neurons that integrate and never spike (`qsnn.dynamics.integrator`)."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.dynamics import LIFState
from qsnn.dynamics.integrator import (
    IntegratorActivity,
    IntegratorParameters,
    raw_integrator,
)
from qsnn.kernels.backend import Backend, LayerSettings
from qsnn.layers.activity import SpikingActivity
from qsnn.layers.linear import QuantizedLinear
from qsnn.layers.stored_weight import StoredWeights


class _IntegratorSequence(torch.autograd.Function):
    """Only the readout carries a gradient, and only to the input current."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, state: LIFState, parameters: IntegratorParameters, backend: Backend
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.parameters, ctx.backend = parameters, backend
        activity = backend.integrator_sequence(current, state, parameters)
        ctx.save_for_backward(current, *activity, *state)
        ctx.mark_non_differentiable(activity.synapse, activity.membrane)
        return activity.output, activity.synapse, activity.membrane

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        current, *rest = ctx.saved_tensors
        activity, initial = IntegratorActivity(*rest[:3]), LIFState(*rest[3:])
        grad = ctx.backend.integrator_sequence_backward(grads[0], current, activity, initial, ctx.parameters)
        return grad, None, None, None


class IntegratingLinear(nn.Module):
    """Input spikes (T, B, I) to membranes (T, B, N), as ``output``."""

    def __init__(self, linear: QuantizedLinear, parameters: IntegratorParameters) -> None:
        super().__init__()
        self.linear, self.parameters_of_neurons = linear, parameters

    def forward(self, x: Tensor, state: LIFState | None = None) -> tuple[SpikingActivity, LIFState]:
        """Input spikes (T, B, I), or maps of I pixels, and state (None: at rest) to activity (T, B, N) and last state (B,
        N)."""
        current = self.linear(x.flatten(2))
        state = LIFState.zeros(current[0]) if state is None else state
        output, synapse, membrane = _IntegratorSequence.apply(
            current, state, self.parameters_of_neurons, self.linear.backend
        )
        activity = SpikingActivity(current, output.detach()[..., :0], synapse, membrane, output, current)
        return activity, LIFState(synapse[-1], membrane[-1])

    def weights(self) -> dict[str, StoredWeights]:
        """``weight``."""
        return {"weight": self.linear}

    def state_widths(self) -> tuple[int | None, int | None]:
        """Bits of both states."""
        return self.parameters_of_neurons.integrator_bits, self.parameters_of_neurons.integrator_bits

    @property
    def state_range(self) -> float:
        """1."""
        return 1.0

    def raw_states(self, activity: SpikingActivity) -> LIFState:
        """`raw_integrator`."""
        synapse = torch.cat([torch.zeros_like(activity.synapse[:1]), activity.synapse[:-1]])
        return raw_integrator(LIFState(synapse, activity.output), activity.current, self.parameters_of_neurons)

    def settings(self) -> LayerSettings:
        """The layer as `Backend.loss_gradients` wants it."""
        return LayerSettings(*self.linear.settings(), self.parameters_of_neurons)

    @property
    def num_neurons(self) -> int:
        """N."""
        return self.linear.weight.shape[1]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(N,)."""
        return (self.num_neurons,)
