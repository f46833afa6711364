"""The net as a whole: golden vectors through autograd over every backend, state, batches."""

from pathlib import Path

import pytest
import torch
from helpers import PATTERN_FILES, golden_net, golden_pattern
from torch import Tensor

from qsnn.dynamics import LIFParameters
from qsnn.kernels.backend import Backend
from qsnn.kernels.eager import EAGER
from qsnn.losses import VanRossumDistance
from qsnn.models import PatternNet, build_pattern_net


@pytest.mark.parametrize("name", PATTERN_FILES)
def test_pattern_net_equals_the_golden_pass_forward_and_backward(name: str, golden: Path, backend: Backend) -> None:
    g = golden_pattern(golden / f"pattern_{name}.npz")
    net = golden_net(g, backend)
    activity, _ = net(g.x)
    for layer in activity:
        layer.current.retain_grad()
    distance = VanRossumDistance(0.75, float(g.tau), backend)(activity.output.spikes, g.y)
    distance.backward()
    pairs = {
        "current1": (activity.hidden.current, g.current1), "current2": (activity.output.current, g.current2),
        "spk1": (activity.hidden.spikes, g.spk1), "spk2": (activity.output.spikes, g.spk2),
        "mem1": (activity.hidden.membrane, g.mem1), "mem2": (activity.output.membrane, g.mem2),
        "dcurrent1": (activity.hidden.current.grad, g.dcurrent1),
        "dcurrent2": (activity.output.current.grad, g.dcurrent2),
        "dw1": (net.hidden.linear.weight.grad, g.dw1), "dw2": (net.output.linear.weight.grad, g.dw2),
    }  # fmt: skip
    assert distance.item() == pytest.approx(float(g.loss), rel=1e-6)
    for key, (ours, expected) in pairs.items():
        if g.weight_bits is None:
            assert (ours - expected).abs().max() <= 1e-5 * expected.abs().max(), key
        else:
            assert torch.equal(ours, expected), key


def small_net(**changes: object) -> PatternNet:
    settings: dict[str, object] = {
        "num_inputs": 20, "num_hidden": 15, "num_outputs": 10, "fan_in": None, "init_beta": None, "weight_bits": 4,
        "quantized_gradients": True, "state_bits": 8, "lif": LIFParameters(0.75, 0.875, 0.9, 100.0, 8, 8, 8), "seed": 0,
        "backend": EAGER, **changes,
    }  # fmt: skip
    return build_pattern_net(**settings)  # type: ignore[arg-type]


def spikes(steps: int, batch: int, inputs: int = 20) -> Tensor:
    return (torch.rand(steps, batch, inputs, generator=torch.Generator().manual_seed(1)) < 0.3).float()


def test_pattern_net_passes_its_state_on_between_two_sequences() -> None:
    net, x = small_net(), spikes(40, 2)
    whole, _ = net(x)
    first, state = net(x[:15])
    second, _ = net(x[15:], state)
    assert torch.equal(whole.output.spikes, torch.cat([first.output.spikes, second.output.spikes]))


def test_pattern_net_keeps_no_state_of_its_own_between_calls() -> None:
    net, x = small_net(), spikes(40, 2)
    assert torch.equal(net(x)[0].output.membrane, net(x)[0].output.membrane)


def test_pattern_net_computes_a_batch_as_its_sequences_one_by_one() -> None:
    net, x = small_net(), spikes(40, 3)
    together, _ = net(x)
    for b in range(3):
        assert torch.equal(together.output.spikes[:, b : b + 1], net(x[:, b : b + 1])[0].output.spikes)


def test_pattern_net_weights_depend_on_the_seed_and_on_nothing_else() -> None:
    one, again, other = (small_net(seed=seed) for seed in (0, 0, 1))
    torch.rand(3)
    assert torch.equal(one.hidden.linear.weight, again.hidden.linear.weight)
    assert not torch.equal(one.hidden.linear.weight, other.hidden.linear.weight)


def test_clamp_weights_brings_the_stored_weights_into_the_range_of_their_format() -> None:
    net = small_net(weight_bits=2)
    with torch.no_grad():
        net.hidden.linear.weight.fill_(0.9)
    net.clamp_weights()
    assert net.hidden.linear.weight.max() == 0.5


@pytest.mark.parametrize("weight_bits", [None, 1, 2, 5, 8])
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_without_a_graph_are_those_of_autograd(weight_bits: int | None, batch: int, backend: Backend) -> None:
    net, x, target = small_net(weight_bits=weight_bits, backend=backend), spikes(40, batch), spikes(40, batch, 10)
    activity, _ = net(x)
    for layer in activity:
        layer.current.retain_grad()
    distance = VanRossumDistance(0.75, 5e-3, backend)(activity.output.spikes, target)
    distance.backward()
    found = net.gradients(x, target, 0.75, 5e-3)
    assert found.distance == distance.item()
    for name, linear in net.linears().items():
        ours, theirs = getattr(found.activity, name), getattr(activity, name)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert torch.equal(found.currents[name], theirs.current.grad)
        assert torch.equal(found.weights[name], linear.gradient())
        assert found.weights[name].count_nonzero() > 0
