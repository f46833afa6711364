"""The van Rossum distance between two sets of spike trains [van Rossum 2001, equation 5], and its gradient.

D(s, y) = sqrt(1/tau * sum((k*s - k*y)^2)),     (k*s)[t] = decay * (k*s)[t-1] + s[t],     summed over T, B and N

In fixed point the gradient has a definition of its own, with filters of F = ``filter_bits`` fraction bits that round toward
zero in each step (to the nearest code a filter would hold a few codes for ever):

    u[t] = trunc(decay * u[t-1]) + 2^F * (s[t] - y[t])          g[t] = trunc(decay * g[t+1]) + u[t]

integers, for a decay that is a fraction with a power of two below it. The factor 2^-F / (tau * D), the same for all, is left
out: the error format divides by the power of two near the maximum, whatever the unit. The distance itself stays a float, a
figure that no step depends on.
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


def fixed_point_filter(x: Tensor, decay: float) -> Tensor:
    """``u[t] = trunc(decay * u[t-1]) + x[t]`` along the first axis, of integers in double, which holds the products."""
    trace, filtered = torch.zeros_like(x[0]), torch.empty_like(x)
    for t in range(x.shape[0]):
        trace = (decay * trace).trunc() + x[t]
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


def van_rossum_codes(spikes: Tensor, target: Tensor, decay: float, filter_bits: int) -> Tensor:
    """The gradient in fixed point, g (T, B, N): integers, exact as floats up to 2^24."""
    difference = fixed_point_filter((spikes.double() - target.double()) * 2**filter_bits, decay)
    return fixed_point_filter(difference.flip(0), decay).flip(0).to(spikes.dtype)
