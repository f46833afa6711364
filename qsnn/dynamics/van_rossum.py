"""The van Rossum distance between two sets of spike trains [van Rossum 2001, equation 5], and its gradient.

D(s, y) = sqrt(1/tau * sum((k*s - k*y)^2)),     (k*s)[t] = decay * (k*s)[t-1] + s[t],     summed over T, B and N
"""

import torch
from torch import Tensor


def exponential_filter(spikes: Tensor, decay: float) -> Tensor:
    """The causal exponential filter k*s along the first axis: (T, ...) to (T, ...)."""
    trace, filtered = torch.zeros_like(spikes[0]), torch.empty_like(spikes)
    for t in range(spikes.shape[0]):
        trace = decay * trace + spikes[t]
        filtered[t] = trace
    return filtered


def van_rossum_distance(spikes: Tensor, target: Tensor, decay: float, tau: float) -> tuple[Tensor, Tensor]:
    """The distance (a scalar) and the filtered difference k*s - k*y (T, B, N), which the gradient needs. tau in s."""
    difference = exponential_filter(spikes, decay) - exponential_filter(target, decay)
    # Summed in double, so that the order of the sum, which differs between backends, leaves no trace in the float.
    total = difference.to(torch.float64).square().sum()
    return (total / tau).sqrt().to(spikes.dtype), difference


def van_rossum_gradient(difference: Tensor, distance: Tensor, decay: float, tau: float) -> Tensor:
    """dD/ds, (T, B, N): the filter run backwards over ``difference / (tau * D)``; 0 where the distance is 0."""
    if distance == 0:
        return torch.zeros_like(difference)
    return exponential_filter((difference / (tau * distance)).flip(0), decay).flip(0)
