"""From nets to models: what is none of integers is refused by its key, and constants are those that training has."""

from typing import Any

import numpy as np
import pytest
import torch

from qsnn.deploy.from_net.model_of import model_of
from qsnn.deploy.from_net.spiking_layers import spiking_layers
from qsnn.deploy.model import COUNT, MAX, MEAN, RASTER, Input, Source
from qsnn.dynamics.cuba_lif import CubaLIF
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.dynamics.lif import LIF
from qsnn.dynamics.trace_lif import TraceLIF
from qsnn.errors import ConfigError
from qsnn.kernels.dispatch import select_backend, select_local_backend
from qsnn.losses.cross_entropy import CrossEntropyLoss
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.losses.van_rossum import VanRossumDistance
from qsnn.models.conv import Conv
from qsnn.models.feedforward import Feedforward
from qsnn.models.geometry import Geometry
from qsnn.models.local_net import LocalInit, build_local_net
from qsnn.quantization.bit_widths import BitWidths
from qsnn.training.bptt import BPTTLearner
from qsnn.training.local_learning import LocalLearner

EAGER = select_backend("eager", "cpu")


def net_of(neuron: Any = None, integrator: Any = None, inputs: tuple[int, ...] = (6,), **bits: Any) -> Any:
    neuron = CubaLIF() if neuron is None else neuron
    return Feedforward(hidden=[5]).build_spiking(inputs, 3, neuron, BitWidths(**bits), integrator, 0, EAGER)


def with_decays(decays: torch.Tensor) -> Any:
    net = net_of()
    hidden = net.layers["hidden"].lif
    hidden.dynamics = hidden.dynamics._replace(membrane_decay=decays)
    return net


REFUSED = {
    "weights": (lambda: net_of(weight_bits=None), "quantization.weight_bits=null is not possible: full precision"),
    "membranes": (lambda: net_of(membrane_bits=None), "quantization.membrane_bits=null"),
    "synapses": (lambda: net_of(synapse_bits=None), "quantization.synapse_bits=null"),
    "decays": (
        lambda: net_of(CubaLIF(decay="exponential")),
        "the synapse decay 0.818731, no multiplier over a power of two: set neuron.decay=dyadic, or neuron.decay_bits=8",
    ),
    "a given decay": (lambda: net_of(LIF(membrane_decay=0.9)), "neuron.membrane_decay=0.9|the membrane decay 0.9"),
    "the readout": (
        lambda: net_of(integrator=IntegratorParameters(0.75, 0.875, None, 8)),
        "quantization.integrator_bits=null",
    ),
    "decays of the readout": (
        lambda: net_of(integrator=IntegratorParameters(0.75, 0.9, 8, 8)),
        "loss.decay makes the membrane decay 0.9, .*: set loss.decay=dyadic$",
    ),
    "decays of their own": (
        lambda: with_decays(torch.tensor([0.5, 0.75, 0.5, 0.5, 0.5])),
        "neuron: neurons of one layer have different decays",
    ),
    "sums": (
        lambda: net_of(weight_bits=16, inputs=(3000,)),
        "current of layer hidden can need 2. signed bits, and training rounds it to 25: lower quantization.weight_bits",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_floats_are_refused_by_their_key(what: str) -> None:
    make, found = REFUSED[what]
    net = make()
    with pytest.raises(ConfigError, match=found):
        spiking_layers(net, (3000,) if what == "sums" else (6,), False)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        spiking_layers(net_of(CubaLIF(decay="euler", tau_mem=0.03), weight_bits=None), (6,), False)
    assert len(refused.value.args) == 3


def test_local_learning_in_floats_is_refused() -> None:
    init = LocalInit([1e-3], None, 1.5, 1.0, 4.0, 0.0, 0.0)
    net = build_local_net(
        (1, 4, 4), [Geometry(2, 3, 1, 1)], 3, TraceLIF(), [BitWidths()], init, 0, select_local_backend("eager")
    )
    with pytest.raises(
        ConfigError, match=r"quantization.arithmetic=float is not possible: traces.*neuron.decay_bits=16"
    ):
        model_of(net, Input((1, 4, 4), False, 1000, 0), ("a", "b", "c"), LocalLearner(0, 0.0, EAGER), source())


def source() -> Source:
    return Source("net", "best", 1, "0")


@pytest.mark.parametrize(
    ("loss", "rule"),
    [
        (SpikeCountLoss(0.3, 0.03, True), COUNT),
        (CrossEntropyLoss(0.5, None, True), COUNT),
        (CrossEntropyLoss(0.5, "max", True), MAX),
        (CrossEntropyLoss(0.5, "mean", True), MEAN),
    ],
)
def test_decision_is_that_of_the_loss(loss: Any, rule: str) -> None:
    readout = IntegratorParameters(0.75, 0.875, 9, 8) if rule in (MAX, MEAN) else None
    model = model_of(
        net_of(integrator=readout), Input((6,), False, 1000, 0), ("a", "b", "c"), BPTTLearner(loss, "eager"), source()
    )
    assert model.decision.rule == rule
    assert (model.layers[-1].spike is None) == (rule != COUNT)


def test_constants_are_those_of_the_papers_net() -> None:
    learner = BPTTLearner(VanRossumDistance(0.75, 0.005, EAGER), "eager")
    model = model_of(net_of(weight_bits=2), Input((6,), False, 1000, 0), (), learner, source())
    assert model.decision.rule == RASTER
    layer = model.layers[0]
    assert (layer.spike, layer.mask) == (116, -11)  # theta 0.9 and 8 bits: NUMERICS section 6
    assert layer.synapse == (8, 7, 3, 2)
    assert layer.membrane == (8, 7, 7, 3)


def test_scales_and_ranges_are_points() -> None:
    net = net_of(CubaLIF(state_range=4.0), weight_bits=4)
    net.layers["hidden"].weights()["weight"].attenuation = 8.0
    layer = spiking_layers(net, (6,), False)[0]
    assert (layer.membrane.point, layer.weight.point) == (5, 6)
    weight = net.layers["hidden"].weights()["weight"].quantized_weight().numpy()
    assert (layer.weight.codes * 2.0**-layer.weight.point == weight).all()


def test_convolution_after_maps_and_dense_after_pooling_have_their_shapes() -> None:
    net = Conv(channels=[4], kernel_size=[3], padding=[1], pooling=[2], stride=[1]).build_spiking(
        (2, 7, 6), 3, LIF(), BitWidths(), None, 0, EAGER
    )
    conv, output = spiking_layers(net, (2, 7, 6), False)
    assert (conv.inputs, conv.neurons, conv.outputs) == ((2, 7, 6), (4, 7, 6), (4, 3, 3))
    assert output.inputs == (36,)
    assert conv.weight.codes.dtype == np.int64
    assert torch.is_tensor(net.layers["output"].weights()["weight"].weight)
