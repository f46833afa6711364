"""The van Rossum distance as a loss; equation in `qsnn.dynamics.van_rossum`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from qsnn.data.words import TARGET
from qsnn.dynamics import DECAY_RULES
from qsnn.dynamics.time_constants import MAX_STEPS_OF_TAU, decay_of, decay_problems, inexact_decay
from qsnn.kernels.backend import Backend
from qsnn.losses.base import OutputLoss
from qsnn.options import impossible, key, option


class _VanRossum(torch.autograd.Function):
    """Forward and backward filter in one pass each, instead of an autograd graph over time."""

    @staticmethod
    def forward(ctx: Any, spikes: Tensor, target: Tensor, loss: "VanRossumDistance") -> Tensor:
        distance, difference = loss.backend.van_rossum_distance(spikes, target, loss.decay, loss.tau)
        ctx.save_for_backward(spikes, target, difference, distance)
        ctx.loss = loss
        return distance.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (spikes, target, difference, distance), loss = ctx.saved_tensors, ctx.loss
        if loss.filter_bits is None:
            grad = loss.backend.van_rossum_gradient(difference, distance, loss.decay, loss.tau)
        else:
            grad = loss.backend.van_rossum_codes(spikes, target, loss.decay, loss.filter_bits)
        return grads[0] * grad, None, None


class VanRossumDistance(nn.Module):
    """``sqrt(1/tau * sum((k*s - k*y)^2))`` of spikes and target (T, B, N); tau in seconds, decay per step.

    With ``filter_bits`` its gradient is in fixed point, without the factor 1 / (tau * D).
    """

    def __init__(self, decay: float, tau: float, backend: Backend, filter_bits: int | None = None) -> None:
        super().__init__()
        self.decay, self.tau, self.filter_bits = decay, tau, filter_bits
        self.backend = backend

    @property
    def filter(self) -> tuple[float, float, int | None]:
        """Decay, tau and fraction bits: backends have a kernel of a whole net for this distance."""
        return self.decay, self.tau, self.filter_bits

    def forward(self, spikes: Tensor, target: Tensor) -> Tensor:
        """The distance, a scalar."""
        return _VanRossum.apply(spikes, target, self)

    def largest_error(self, num_steps: int) -> int:
        """Largest integer of the gradient in fixed point: the sum of a geometric series for each of the two filters."""
        series = float(num_steps) if self.decay == 1 else min(num_steps, 1 / (1 - self.decay))
        return math.ceil(2 ** (self.filter_bits or 0) * series * series)

    def of_silence(self, target: Tensor) -> float:
        """The distance of a net that never spikes: what every result is relative to."""
        return self.forward(torch.zeros_like(target), target).item()


@option("loss", "van_rossum")
@dataclass
class VanRossum(OutputLoss):
    """Van Rossum distance of the output spikes to a target raster."""

    needs: ClassVar[frozenset[str]] = frozenset({TARGET})

    tau_vr: float = key(0.005, "time constant of the van Rossum filter", "s", "tau_vr", above=0)
    decay: str = key(
        "dyadic", "rule from tau_vr to a factor per step: exponential, euler or dyadic", choices=tuple(DECAY_RULES)
    )
    van_rossum_decay: float | None = key(
        None, "factor per step that overrides tau_vr; null: by the rule", "", "alpha (0.75)"
    )

    filter_bits: int = key(
        8, "fraction bits of the filter in integer arithmetic, cut off in each step", "bits", at_least=1, at_most=16
    )

    def float_quantities(self, config: Any) -> Iterator[str]:
        """A decay that is no multiplier over a power of two."""
        given = self.van_rossum_decay
        decay = decay_of(self.tau_vr, config.neuron.dt, self.decay, given)
        yield from inexact_decay("loss", "tau_vr", self.decay, "van_rossum_decay", given, decay, can_round=False)

    def problems_at(self, dt: float) -> Iterator[str]:
        """What is wrong with the filter at steps of ``dt`` s."""
        shortest, longest = dt / MAX_STEPS_OF_TAU, dt * MAX_STEPS_OF_TAU
        if self.tau_vr < shortest:
            yield impossible("loss.tau_vr", self.tau_vr, f"it must be at least {shortest:g} and at most {longest:g}")
            return
        yield from decay_problems(
            "loss", "tau_vr", self.tau_vr, dt, self.decay, "van_rossum_decay", self.van_rossum_decay
        )

    def build_integer(self, dt: float, backend: Backend) -> VanRossumDistance:
        """The loss with its gradient in fixed point."""
        decay = decay_of(self.tau_vr, dt, self.decay, self.van_rossum_decay)
        return VanRossumDistance(decay, self.tau_vr, backend, self.filter_bits)

    def build(self, dt: float, backend: Backend, quantized: bool) -> VanRossumDistance:
        """The loss at steps of ``dt`` s; ``quantized``: whether errors are, which changes nothing here."""
        decay = decay_of(self.tau_vr, dt, self.decay, self.van_rossum_decay)
        return VanRossumDistance(decay, self.tau_vr, backend)
