"""Membrane, spikes and refractory state of a local-learning layer. Source: [ICONS]; NUMERICS section 4."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from qsnn.dynamics.traces import decay_factors
from qsnn.quantization import divide, potential, quantize, unsigned


class RefractoryParameters(NamedTuple):
    """``decay``: gamma = 1 - dt/tau_ref; ``scale``: the weights' attenuation; ``pooling``: side of the pooling window."""

    decay: float
    full_scale: float
    refractory_bits: int | None
    membrane_bits: int | None
    scale: float = 1.0
    pooling: int = 1


class MembraneStep(NamedTuple):
    """One time step: ``membrane`` U (B, C, H, W) and ``refractory`` R after the spikes, of the same shape.

    ``pooled`` (B, C, H', W'): the largest U of each pooling window; ``winner``: where in its plane it was first found,
    h * W + w, int32. A layer's spikes are ``membrane >= 0``, what it hands on is ``pooled >= 0``. ``total``: the sum of U,
    float64 (exact on grids, so that every backend decides alike on its mean), and ``num_spikes``, int64, both scalars.
    """

    membrane: Tensor
    refractory: Tensor
    pooled: Tensor
    winner: Tensor
    total: Tensor
    num_spikes: Tensor

    def count(self, samples: int | None = None) -> int:
        """How many neurons there are, or would be in so many ``samples``."""
        B, *maps = self.membrane.shape
        return (B if samples is None else samples) * math.prod(maps)

    def mean(self, samples: int | None = None) -> Tensor:
        """mean(U), a scalar; of so many ``samples``, if ``total`` is of more than there are here."""
        return self.total / self.count(samples)


def refractory_parameters(
    tau_ref: float, dt: float, refractory_bits: int | None, membrane_bits: int | None, decay_bits: int | None = None
) -> RefractoryParameters:
    """gamma = 1 - dt/tau_ref, R_max = 1/(1 - gamma), in seconds, float32; ``decay_bits`` as in `trace_parameters`."""
    decay = decay_factors(torch.tensor(tau_ref), dt, decay_bits)
    return RefractoryParameters(decay.item(), (1 / (1 - decay)).item(), refractory_bits, membrane_bits)


def decayed_refractory(refractory: Tensor, parameters: RefractoryParameters) -> Tensor:
    """``gamma R_max quantize_unsigned(R / R_max)``, of any shape."""
    p = parameters
    if p.refractory_bits is not None:
        refractory = p.full_scale * quantize(divide(refractory, p.full_scale), unsigned(p.refractory_bits))
    return p.decay * refractory


def membrane_step(drive: Tensor, refractory: Tensor, parameters: RefractoryParameters) -> MembraneStep:
    """From the convolution of the membrane trace, ``drive`` (B, C, H, W), to spikes.

        R = gamma R_max quantize_unsigned(R / R_max)     U = quantize_potential(drive / scale - R)
        S = 1 if U >= 0 else 0                           R = R + S

    Pooling takes the largest U, and so the largest S and the largest of any increasing function of U.
    """
    p, refractory = parameters, decayed_refractory(refractory, parameters)
    membrane = quantize(drive / p.scale - refractory, potential(p.membrane_bits))
    spikes = membrane >= 0
    pooled, winner = functional.max_pool2d(membrane, p.pooling, return_indices=True)
    total = membrane.sum(dtype=torch.float64)
    after = refractory + spikes.to(membrane.dtype)
    return MembraneStep(membrane, after, pooled, winner.to(torch.int32), total, spikes.sum())
