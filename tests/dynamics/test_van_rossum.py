"""The van Rossum distance and its gradient."""

from pathlib import Path

import pytest
import torch
from helpers import golden_pattern

from qsnn.kernels.backend import Backend


def test_van_rossum_distance_equals_the_golden_losses(golden: Path, backend: Backend) -> None:
    files = sorted(golden.glob("pattern_*.npz"))
    assert files
    for path in files:
        g = golden_pattern(path)
        distance, _ = backend.van_rossum_distance(g.spk2, g.y, 0.75, float(g.tau))
        assert distance.item() == pytest.approx(float(g.loss), rel=1e-6)


def test_van_rossum_gradient_is_that_of_plain_autograd(backend: Backend) -> None:
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(30, 2, 5, generator=generator) < 0.2).float().requires_grad_()
    target = (torch.rand(30, 2, 5, generator=generator) < 0.2).float()
    trace, traces = torch.zeros(2, 5), []
    for t in range(30):
        trace = 0.75 * trace + spikes[t] - target[t]
        traces.append(trace)
    expected = (torch.stack(traces).square().sum() / 0.005).sqrt()
    expected.backward()
    distance, difference = backend.van_rossum_distance(spikes.detach(), target, 0.75, 0.005)
    gradient = backend.van_rossum_gradient(difference, distance, 0.75, 0.005)
    assert distance.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(gradient, spikes.grad, rtol=1e-5, atol=1e-6)


def test_van_rossum_of_equal_trains_is_zero_with_zero_gradient(backend: Backend) -> None:
    spikes = torch.ones(5, 1, 3)
    distance, difference = backend.van_rossum_distance(spikes, spikes, 0.75, 0.005)
    assert distance == 0
    assert backend.van_rossum_gradient(difference, distance, 0.75, 0.005).abs().sum() == 0
