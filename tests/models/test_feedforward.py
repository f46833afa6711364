"""The net as a whole: golden vectors through autograd over every backend, depth, state, batches."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from helpers import PATTERN_FILES, golden_net, golden_pattern
from torch import Tensor

from qsnn.dynamics import LIFParameters
from qsnn.kernels.backend import Backend
from qsnn.kernels.eager import EAGER
from qsnn.layers import SpikingLinear
from qsnn.losses import VanRossumDistance
from qsnn.models import SpikingNet, build_feedforward
from qsnn.models.feedforward import layer_names
from qsnn.quantization.bit_widths import BitWidths

LIF = LIFParameters(0.75, 0.875, 0.9, 100.0, 8, 8, 8)


@pytest.mark.parametrize("name", PATTERN_FILES)
def test_net_of_two_layers_equals_the_golden_pass_forward_and_backward(
    name: str, golden: Path, backend: Backend
) -> None:
    g = golden_pattern(golden / f"pattern_{name}.npz")
    net = golden_net(g, backend)
    activity, _ = net(g.x)
    hidden, output = activity["hidden"], activity["output"]
    for layer in activity.values():
        layer.current.retain_grad()
    distance = VanRossumDistance(0.75, float(g.tau), backend)(output.spikes, g.y)
    distance.backward()
    weights = {name: linear.weight for name, linear in net.weights().items()}
    pairs = {
        "current1": (hidden.current, g.current1), "current2": (output.current, g.current2),
        "spk1": (hidden.spikes, g.spk1), "spk2": (output.spikes, g.spk2),
        "mem1": (hidden.membrane, g.mem1), "mem2": (output.membrane, g.mem2),
        "dcurrent1": (hidden.current.grad, g.dcurrent1), "dcurrent2": (output.current.grad, g.dcurrent2),
        "dw1": (weights["hidden.weight"].grad, g.dw1), "dw2": (weights["output.weight"].grad, g.dw2),
    }  # fmt: skip
    assert distance.item() == pytest.approx(float(g.loss), rel=1e-6)
    for key, (ours, expected) in pairs.items():
        if g.weight_bits is None:
            assert (ours - expected).abs().max() <= 1e-5 * expected.abs().max(), key
        else:
            assert torch.equal(ours, expected), key


def small_net(
    hidden: Sequence[int] = (15,), num_inputs: int = 20, weight_bits: int | None = 4, lif: LIFParameters = LIF, seed: int = 0,
    backend: Backend = EAGER,
) -> SpikingNet:  # fmt: skip
    """Ten outputs, and one set of widths for all layers."""
    sizes, number = [num_inputs, *hidden, 10], len(hidden) + 1
    bits = BitWidths(weight_bits=weight_bits, membrane_bits=8, synapse_bits=8)
    return build_feedforward(
        sizes, [bits] * number, [lif] * number, fan_in=None, init_beta=None, seed=seed, backend=backend
    )


def spikes(steps: int, batch: int, inputs: int = 20) -> Tensor:
    return (torch.rand(steps, batch, inputs, generator=torch.Generator().manual_seed(1)) < 0.3).float()


@pytest.mark.parametrize("hidden", [[], [15], [15, 12, 9]])
def test_net_passes_its_state_on_between_two_sequences(hidden: list[int]) -> None:
    net, x = small_net(hidden=hidden), spikes(40, 2)
    whole, _ = net(x)
    first, state = net(x[:15])
    second, _ = net(x[15:], state)
    assert torch.equal(whole["output"].spikes, torch.cat([first["output"].spikes, second["output"].spikes]))


def test_net_keeps_no_state_of_its_own_between_calls() -> None:
    net, x = small_net(), spikes(40, 2)
    assert torch.equal(net(x)[0]["output"].membrane, net(x)[0]["output"].membrane)


def test_net_computes_a_batch_as_its_sequences_one_by_one() -> None:
    net, x = small_net(), spikes(40, 3)
    together, _ = net(x)
    for b in range(3):
        assert torch.equal(together["output"].spikes[:, b : b + 1], net(x[:, b : b + 1])[0]["output"].spikes)


def test_net_weights_depend_on_the_seed_and_on_nothing_else() -> None:
    one, again, other = (small_net(seed=seed) for seed in (0, 0, 1))
    torch.rand(3)
    assert torch.equal(one.weights()["hidden.weight"].weight, again.weights()["hidden.weight"].weight)
    assert not torch.equal(one.weights()["hidden.weight"].weight, other.weights()["hidden.weight"].weight)


def test_clamp_weights_brings_the_stored_weights_into_the_range_of_their_format() -> None:
    net = small_net(weight_bits=2)
    with torch.no_grad():
        net.weights()["hidden.weight"].weight.fill_(0.9)
    net.clamp_weights()
    assert net.weights()["hidden.weight"].weight.max() == 0.5


def test_net_layers_keep_the_names_of_their_weights_and_random_streams() -> None:
    assert [layer_names(count) for count in (0, 1, 3)] == [
        ["output"], ["hidden", "output"], ["hidden1", "hidden2", "hidden3", "output"],
    ]  # fmt: skip
    deep = small_net(hidden=[15, 12])
    parts = ("weight", "scale")
    assert list(deep.state_dict()) == [
        f"{name}.linear.{part}" for name in ("hidden1", "hidden2", "output") for part in parts
    ]
    assert list(small_net().state_dict()) == [
        f"{name}.linear.{part}" for name in ("hidden", "output") for part in parts
    ]
    assert [tuple(linear.weight.shape) for linear in deep.weights().values()] == [(20, 15), (15, 12), (12, 10)]
    alone = small_net(hidden=[], num_inputs=12)
    assert torch.equal(alone.weights()["output.weight"].weight, deep.weights()["output.weight"].weight)


def test_net_without_layers_or_of_layers_that_do_not_fit_is_an_error() -> None:
    def layer(inputs: int, neurons: int) -> SpikingLinear:
        return SpikingLinear(torch.zeros(inputs, neurons), 1.0, 4, LIF, EAGER)

    with pytest.raises(ValueError, match="a net needs one layer at least"):
        SpikingNet({})
    with pytest.raises(ValueError, match="layer output has 6 inputs, layer hidden before it has 5 neurons"):
        SpikingNet({"hidden": layer(4, 5), "output": layer(6, 3)})


@pytest.mark.parametrize("hidden", [[], [15], [15, 12], [15, 12, 9]])
@pytest.mark.parametrize("weight_bits", [None, 1, 2, 5, 8])
@pytest.mark.parametrize("batch", [1, 3])
def test_gradients_without_a_graph_are_those_of_autograd(
    hidden: list[int], weight_bits: int | None, batch: int, backend: Backend
) -> None:
    net = small_net(weight_bits=weight_bits, backend=backend, hidden=hidden, lif=LIF._replace(threshold=0.5))
    x, target = spikes(40, batch), spikes(40, batch, 10)
    activity, _ = net(x)
    for layer in activity.values():
        layer.current.retain_grad()
    loss = VanRossumDistance(0.75, 5e-3, backend)
    distance = loss(activity["output"].spikes, target)
    distance.backward()
    found = net.gradients(x, target, loss)
    assert found.loss == distance.item()
    assert list(found.activity) == layer_names(len(hidden))
    for name, done in activity.items():
        assert all(torch.equal(a, b) for a, b in zip(found.activity[name], done, strict=True))
        assert torch.equal(found.currents[name], done.current.grad)
    for name, linear in net.weights().items():
        assert torch.equal(found.weights[name], linear.gradient())
        assert found.weights[name].count_nonzero() > 0
