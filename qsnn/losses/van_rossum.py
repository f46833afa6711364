"""The van Rossum distance as a loss; equation in `qsnn.dynamics.van_rossum`."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.kernels.backend import Backend


class _VanRossum(torch.autograd.Function):
    """Forward and backward filter in one pass each, instead of an autograd graph over time."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, target: Tensor, decay: float, tau: float, backend: Backend) -> Tensor:
        distance, difference = backend.van_rossum_distance(spikes, target, decay, tau)
        ctx.save_for_backward(difference, distance)
        ctx.decay, ctx.tau, ctx.backend = decay, tau, backend
        return distance.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        difference, distance = ctx.saved_tensors
        grad = ctx.backend.van_rossum_gradient(difference, distance, ctx.decay, ctx.tau)
        return grads[0] * grad, None, None, None, None


class VanRossumDistance(nn.Module):
    """``sqrt(1/tau * sum((k*s - k*y)^2))`` of spikes and target (T, B, N); tau in seconds, decay per step."""

    def __init__(self, decay: float, tau: float, backend: Backend) -> None:
        super().__init__()
        self.decay = decay
        self.tau = tau
        self.backend = backend

    def forward(self, spikes: Tensor, target: Tensor) -> Tensor:
        """The distance, a scalar."""
        return _VanRossum.apply(spikes, target, self.decay, self.tau, self.backend)

    def of_silence(self, target: Tensor) -> float:
        """The distance of a net that never spikes: what every result is relative to."""
        return self.forward(torch.zeros_like(target), target).item()
