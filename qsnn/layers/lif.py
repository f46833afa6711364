"""A layer of current-based LIF neurons: the whole sequence as one autograd.Function with a hand-written backward."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.dynamics import LIFActivity, LIFState, NeuronParameters
from qsnn.kernels.backend import Backend


class _LIFSequence(torch.autograd.Function):
    """Only the spikes carry a gradient, and only to the input current: states and reset are constants to autograd."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, state: LIFState, parameters: NeuronParameters, backend: Backend
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.parameters, ctx.backend = parameters, backend
        activity = backend.lif_sequence(current, state, parameters)
        ctx.save_for_backward(current, *activity, *state)
        ctx.mark_non_differentiable(activity.synapse, activity.membrane)
        return activity.spikes, activity.synapse, activity.membrane

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        current, *rest = ctx.saved_tensors
        activity, initial = LIFActivity(*rest[:3]), LIFState(*rest[3:])
        grad = ctx.backend.lif_sequence_backward(grads[0], current, activity, initial, ctx.parameters)
        return grad, None, None, None


class LIF(nn.Module):
    """Current-based LIF neurons [ISCAS]; equations in `qsnn.dynamics.cuba_lif`. State is passed and returned."""

    def __init__(self, parameters: NeuronParameters, backend: Backend) -> None:
        super().__init__()
        self.dynamics = parameters
        self.backend = backend

    def forward(self, current: Tensor, state: LIFState | None = None) -> tuple[LIFActivity, LIFState]:
        """Input current (T, B, N) and state (B, N each; None: at rest) to spikes and states (T, B, N), and last state."""
        if torch.is_grad_enabled():
            state = LIFState.zeros(current[0]) if state is None else state
            activity = LIFActivity(*_LIFSequence.apply(current, state, self.dynamics, self.backend))
        else:
            activity = self.backend.lif_sequence(current, state, self.dynamics)
        return activity, LIFState(activity.synapse[-1], activity.membrane[-1])
