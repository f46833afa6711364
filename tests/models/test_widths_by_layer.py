"""Lists of widths: each layer has its own formats, and its weights and streams the names and values that they always have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import QUIET, make_run
from local_data import make_local_run
from torch import Tensor

from qsnn.dynamics import LIFParameters
from qsnn.dynamics.cuba_lif import CubaLIF
from qsnn.errors import ConfigError
from qsnn.kernels.backend import Backend
from qsnn.losses import VanRossumDistance
from qsnn.models import SpikingNet
from qsnn.models.feedforward import Feedforward
from qsnn.quantization import quantize, symmetric, to_codes
from qsnn.quantization.bit_widths import BitWidths
from qsnn.training.run import Run

NAMES = ["hidden1", "hidden2", "output"]
TENSORS = [f"{name}.weight" for name in NAMES]
WEIGHTS, STATES, ERRORS = [8, 2, 8], [8, 4, 6], [8, 3, 5]
LISTS = {
    "weight_bits": WEIGHTS,
    "state_bits": STATES,
    "membrane_bits": STATES,
    "synapse_bits": [8, 5, 7],
    "error_bits": ERRORS,
}
DEEP = [
    "model.hidden=[30,20]", "model.fan_in=null", "neuron.threshold=0.5", "quantization.weight_bits=[8,2,8]",
    "quantization.state_bits=[8,4,6]", "quantization.synapse_bits=[8,5,7]", "quantization.error_bits=[8,3,5]",
]  # fmt: skip
LOCAL = [
    "model.channels=[4,6,5]", "model.kernel_size=[5,3,3]", "model.padding=[2,1,1]", "model.pooling=[2,1,1]",
    "trainer.weight_mult=[1e-3,4e-4,4e-4]",
]  # fmt: skip


def net(bits: BitWidths, backend: Backend, hidden: Sequence[int] = (15, 12)) -> SpikingNet:
    return Feedforward(hidden=list(hidden)).build_spiking((20,), 10, CubaLIF(threshold=0.5), bits, None, 0, backend)


def widths(weight_bits: Any) -> BitWidths:
    """Eight bits in all else."""
    return BitWidths(weight_bits=weight_bits, membrane_bits=8, synapse_bits=8)


def spikes(width: int) -> Tensor:
    return (torch.rand(40, 2, width, generator=torch.Generator().manual_seed(width)) < 0.3).float()


def test_each_layer_of_a_dense_net_has_its_entry_of_every_list(backend: Backend) -> None:
    layers = net(BitWidths(**LISTS), backend).layers
    assert list(layers) == NAMES
    for number, layer in enumerate(layers.values()):
        p = layer.lif.dynamics
        assert isinstance(p, LIFParameters)
        assert layer.linear.weight_bits == WEIGHTS[number]
        assert (p.membrane_bits, p.synapse_bits, p.error_bits) == (STATES[number], [8, 5, 7][number], ERRORS[number])
    one = net(BitWidths(**{**LISTS, "weight_bits": 4}), backend)
    assert [layer.linear.weight_bits for layer in one.layers.values()] == [4, 4, 4]


def test_each_layer_computes_on_the_grids_of_its_own_widths(backend: Backend) -> None:
    mixed = net(BitWidths(**LISTS), backend)
    activity, _ = mixed(spikes(20))
    seen = {}
    for number, (name, done) in enumerate(activity.items()):
        to_codes(done.membrane, symmetric(STATES[number]))  # raises for a value that is not on the grid
        to_codes(done.synapse, symmetric([8, 5, 7][number]))
        linear = mixed.layers[name].linear
        fmt, inputs = symmetric(WEIGHTS[number]), spikes(20) if number == 0 else activity[NAMES[number - 1]].spikes
        weight = quantize(linear.weight, fmt)
        seen[name] = to_codes(weight, fmt).unique().numel()
        expected = inputs @ (weight / linear.attenuation)
        assert torch.equal(done.current, expected)
    assert seen["hidden2"] <= 3 < min(seen["hidden1"], seen["output"])
    with pytest.raises(ValueError, match="grid"):
        to_codes(activity["output"].membrane, symmetric(4))


def test_weights_keep_names_streams_and_values_whatever_the_other_layers_widths_are(backend: Backend) -> None:
    mixed, eight, two = (net(widths(bits), backend) for bits in (WEIGHTS, 8, 2))
    parts = [f"{name}.linear.{part}" for name in NAMES for part in ("weight", "scale")]
    assert list(mixed.state_dict()) == list(eight.state_dict()) == parts
    for name, same in zip(NAMES, (eight, two, eight), strict=True):
        assert torch.equal(mixed.layers[name].linear.weight, same.layers[name].linear.weight)
        assert mixed.layers[name].linear.attenuation == same.layers[name].linear.attenuation


def test_list_of_equal_entries_is_the_single_width(backend: Backend) -> None:
    nets = (net(widths(bits), backend) for bits in (2, [2, 2, 2]))
    loss = VanRossumDistance(0.75, 5e-3, backend)
    one, listed = (made.gradients(spikes(20), spikes(10), loss) for made in nets)
    assert one.loss == listed.loss
    assert all(torch.equal(one.weights[name], listed.weights[name]) for name in TENSORS)


def test_gradients_of_mixed_widths_without_a_graph_are_those_of_autograd(backend: Backend) -> None:
    mixed, x, target = net(BitWidths(**LISTS), backend), spikes(20), spikes(10)
    activity, _ = mixed(x)
    loss = VanRossumDistance(0.75, 5e-3, backend)
    distance = loss(activity["output"].spikes, target)
    distance.backward()
    found = mixed.gradients(x, target, loss)
    assert found.loss == distance.item()
    assert list(found.weights) == TENSORS
    for name, linear in mixed.weights().items():
        assert torch.equal(found.weights[name], linear.gradient())
        assert found.weights[name].count_nonzero() > 0
    for number, name in enumerate(NAMES):
        to_codes(found.currents[name], symmetric(ERRORS[number]))


def test_run_of_mixed_widths_trains_to_the_same_bits_with_every_backend(tmp_path: Path) -> None:
    runs: list[Run] = [make_run(tmp_path, *DEEP, f"kernels={name}") for name in ("eager", "numba")]
    distances = [[run.learn_batch()[0].loss for _ in range(4)] for run in runs]
    assert distances[0] == distances[1]
    assert list(runs[0].state.streams) == TENSORS
    one, other = (run.state.model.state_dict() for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [bits for _, bits in runs[0].state.model.stored_weights().values()] == WEIGHTS


def test_each_layer_of_local_learning_has_its_entry_of_every_list(tmp_path: Path) -> None:
    words = [
        "quantization.weight_bits=[8,2,8]",
        "quantization.membrane_bits=[6,4,8]",
        "quantization.readout_bits=[6,4,5]",
    ]
    mixed = make_local_run(tmp_path / "mixed", tmp_path, *LOCAL, *words).state.model
    plain = make_local_run(tmp_path / "plain", tmp_path, *LOCAL).state.model
    layers = mixed.layers
    assert list(layers) == ["layer1", "layer2", "layer3"]
    assert [layer.settings.weight_bits for layer in layers.values()] == [8, 2, 8]
    assert [layer.settings.refractory.membrane_bits for layer in layers.values()] == [6, 4, 8]
    assert [layer.settings.readout_bits for layer in layers.values()] == [6, 4, 5]
    for layer in layers.values():
        to_codes(layer.weight, symmetric(layer.settings.weight_bits))
    assert list(mixed.state_dict()) == list(plain.state_dict())
    for name in ("layer1", "layer3"):  # of 8 bits in both
        assert torch.equal(layers[name].weight, plain.layers[name].weight)
        assert torch.equal(layers[name].readout_weight, plain.layers[name].readout_weight)
    assert not torch.equal(layers["layer2"].weight, plain.layers["layer2"].weight)


@pytest.mark.parametrize("kernels", ["eager", "numba"])
def test_local_learning_of_mixed_widths_goes_on(kernels: str, tmp_path: Path) -> None:
    run = make_local_run(tmp_path / "run", tmp_path, *LOCAL, "quantization.weight_bits=[8,2,8]", f"kernels={kernels}")
    before = {name: layer.weight.clone() for name, layer in run.state.model.layers.items()}
    for _ in range(3):
        run.advance(QUIET)
    assert all((layer.weight != before[name]).any() for name, layer in run.state.model.layers.items())


def test_list_of_another_length_is_told_with_the_number_of_layers(tmp_path: Path) -> None:
    wrong = ["quantization.weight_bits=[8,2]", "quantization.state_bits=[8,8,8,8]", "loss.tau_vr=1e-300"]
    with pytest.raises(ConfigError) as caught:
        make_run(tmp_path, *DEEP, "loss=van_rossum", *wrong)
    told = "\n".join(caught.value.args)
    assert (
        "quantization.weight_bits=[8, 2] is not possible: the net has 3 layers: give one width, or a list of 3" in told
    )
    assert "quantization.state_bits=[8, 8, 8, 8] is not possible" in told
    assert "loss.tau_vr=1e-300 is not possible" in told
    with pytest.raises(ConfigError, match=r"quantization.sigmoid_bits=\[6\] is not possible: the net has 2 layers"):
        make_local_run(tmp_path, tmp_path, "quantization.sigmoid_bits=[6]")


def test_width_in_a_list_that_no_format_has_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quantization.weight_bits=\[8, 17, 8\] is not possible: allowed are 1..16"):
        make_run(tmp_path, *DEEP, "quantization.weight_bits=[8,17,8]")
