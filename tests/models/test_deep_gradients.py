"""Gradients of nets of every kind: in full precision those of autograd, quantized those of a program in whole numbers."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from integer_nets import Cell, Fixed, Layer, integer_net
from naive_nets import NaiveLayer, Neuron, naive_cross_entropy, naive_logits, naive_net
from torch import Tensor

from qsnn.dynamics.cuba_lif import CubaLIF
from qsnn.dynamics.integrate_and_fire import IF
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.dynamics.lif import LIF
from qsnn.kernels.backend import Backend
from qsnn.kernels.dispatch import select_backend
from qsnn.losses.classes import ClassLoss
from qsnn.losses.cross_entropy import CrossEntropyLoss
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.losses.van_rossum import VanRossumDistance
from qsnn.models import SpikingNet
from qsnn.models.conv import Conv
from qsnn.models.feedforward import Feedforward
from qsnn.models.recurrent import Recurrent
from qsnn.quantization.bit_widths import BitWidths

STEPS, BATCH, CLASSES, MAPS = 12, 3, 4, (2, 9, 8)
EAGER = select_backend("eager", "cpu")
MODELS = {
    "feedforward of 0": Feedforward(hidden=[]),
    "feedforward of 1": Feedforward(hidden=[11]),
    "feedforward of 2": Feedforward(hidden=[9, 7]),
    "feedforward of 3": Feedforward(hidden=[9, 8, 7]),
    "recurrent of 1": Recurrent(hidden=[10]),
    "recurrent of 2": Recurrent(hidden=[9, 8]),
    "conv": Conv(channels=[4], kernel_size=[3], padding=[0], pooling=[1], stride=[1]),
    "conv with stride and padding": Conv(channels=[3, 4], kernel_size=[3, 2], padding=[2, 1], pooling=[1, 1], stride=[2, 3]),
    "conv with pooling": Conv(channels=[4, 3], kernel_size=[3, 2], padding=[1, 0], pooling=[2, 3], stride=[1, 1]),
}  # fmt: skip
NEURONS = {
    "cuba_lif": CubaLIF(threshold=0.6, surrogate_slope=3.0),
    "lif": LIF(threshold=0.7, surrogate_slope=2.0),
    "if": IF(threshold=0.8, surrogate_slope=5.0),
}
READOUT = IntegratorParameters(0.75, 0.96875, None, None)


def widths(bits: int | None, **others: Any) -> BitWidths:
    states = dict.fromkeys(("state_bits", "membrane_bits", "synapse_bits"), bits)
    return BitWidths(**{**states, "weight_bits": bits, "error_bits": bits, "gradient_bits": bits, **others})


def inputs(seed: int, signed: bool = False) -> tuple[Tensor, Tensor]:
    """Spikes (T, B, C, H, W), and labels."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, BATCH, *MAPS, generator=generator) < 0.3).float()
    signs = torch.randint(0, 2, x.shape, generator=generator) * 2 - 1
    return x * signs if signed else x, torch.randint(0, CLASSES, (BATCH,), generator=generator)


def built(
    model: Any, neuron: Any, bits: BitWidths, backend: Backend = EAGER, readout: Any = None, gain: float = 1.0
) -> SpikingNet:
    """The net, its weights ``gain`` times larger, so that deep layers spike."""
    net: SpikingNet = model.build_spiking(MAPS, CLASSES, neuron, bits, readout, 3, backend)
    with torch.no_grad():
        for tensor in net.trained_tensors().values():
            tensor *= gain
    return net


def naive_layers(net: SpikingNet, model: Any, neuron: Any) -> list[NaiveLayer]:
    """The same net for `naive_net`, with weights of its own."""
    parameters = neuron.build(None, None, None)
    alpha = getattr(parameters, "synapse_decay", None)
    cell = Neuron(alpha, parameters.membrane_decay, neuron.threshold, neuron.surrogate_slope)
    places = [(g.stride, g.padding, g.pooling) for g in model.geometries()] if isinstance(model, Conv) else []
    layers = []
    for number, layer in enumerate(net.layers.values()):
        parts = {name: w.weight.detach().clone().requires_grad_() for name, w in layer.weights().items()}
        if number < len(places):
            layers.append(NaiveLayer("conv", parts["weight"], cell, None, places[number]))
        else:
            layers.append(NaiveLayer("dense", parts["weight"], cell, parts.get("recurrent_weight")))
    return layers


def gradients_of(layers: list[NaiveLayer]) -> list[Tensor]:
    tensors = [t for layer in layers for t in (layer.weight, layer.recurrent) if t is not None]
    return [tensor.grad for tensor in tensors if tensor.grad is not None]


def assert_close(ours: dict[str, Tensor], theirs: list[Tensor], relative: float) -> None:
    for (name, one), other in zip(ours.items(), theirs, strict=True):
        assert other.abs().max() > 0, name
        assert (one - other).abs().max() <= relative * other.abs().max(), name


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("loss", ["count", "max", "mean", "spike_count"])
def test_gradients_equal_autograd_in_full_precision(model: str, neuron: str, loss: str) -> None:
    over_time = loss if loss in ("max", "mean") else None
    net = built(MODELS[model], NEURONS[neuron], widths(None), readout=READOUT if over_time else None, gain=2.0).double()
    x, labels = inputs(1)
    layers = naive_layers(net, MODELS[model], NEURONS[neuron])
    if over_time:
        layers[-1] = layers[-1]._replace(
            kind="readout", neuron=Neuron(READOUT.synapse_decay, READOUT.membrane_decay, 0, 0)
        )
    output, rates = naive_net(layers, x.double())
    assert all(0.01 < rate < 0.9 for rate in rates[: -1 if over_time else None]), rates
    if loss == "spike_count":
        wanted = torch.full((BATCH, CLASSES), 1.0)  # rint(0.1 * 12)
        wanted[range(BATCH), labels] = 5  # rint(0.4 * 12)
        value = ((output.sum(0) - wanted) ** 2).sum() / 2 / BATCH
        criterion: ClassLoss = SpikeCountLoss(0.4, 0.1, False)
    else:
        value = naive_cross_entropy(naive_logits(output, 0.7, over_time), labels)
        criterion = CrossEntropyLoss(0.7, over_time, False)
    value.backward()
    found = net.gradients(x.double(), labels, criterion)
    assert found.loss == pytest.approx(value.item(), rel=1e-10)
    assert_close(found.weights, gradients_of(layers), 1e-9)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("model", ["feedforward of 2", "recurrent of 1", "conv with pooling"])
def test_gradients_of_floats_equal_autograd_with_every_backend(model: str, neuron: str, backend: Backend) -> None:
    net = built(MODELS[model], NEURONS[neuron], widths(None), backend, gain=2.0)
    x, labels = inputs(2)
    layers = naive_layers(net, MODELS[model], NEURONS[neuron])
    naive_cross_entropy(naive_logits(naive_net(layers, x)[0], 0.5, None), labels).backward()
    assert_close(net.gradients(x, labels, CrossEntropyLoss(0.5, None, False)).weights, gradients_of(layers), 1e-5)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("model", ["feedforward of 0", "feedforward of 3", "recurrent of 2", "conv with pooling"])
def test_gradients_of_the_van_rossum_distance_equal_autograd_in_full_precision(model: str, neuron: str) -> None:
    net = built(MODELS[model], NEURONS[neuron], widths(None), gain=2.0).double()
    x, decay, tau = inputs(3)[0].double(), 0.75, 0.005
    target = (torch.rand(STEPS, BATCH, CLASSES, generator=torch.Generator().manual_seed(4)) < 0.4).double()
    layers = naive_layers(net, MODELS[model], NEURONS[neuron])
    trace, total = torch.zeros(BATCH, CLASSES, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for spikes, wanted in zip(naive_net(layers, x)[0], target, strict=True):
        trace = decay * trace + spikes - wanted
        total = total + (trace**2).sum()
    (total / tau).sqrt().backward()
    assert_close(net.gradients(x, target, VanRossumDistance(decay, tau, EAGER)).weights, gradients_of(layers), 1e-9)


DYADIC: dict[str, Any] = {
    "cuba_lif": CubaLIF(synapse_decay=0.75, membrane_decay=0.875, threshold=0.3),
    "lif": LIF(membrane_decay=0.9375, threshold=0.2),
    "if": IF(threshold=0.4),
}
DECAYS = {"cuba_lif": ((3, 2), (7, 3)), "lif": (None, (15, 4)), "if": (None, (1, 0))}
SURROGATES = ((0, True), (5, False), (100, True))
THRESHOLDS = {"cuba_lif": Fraction(3, 10), "lif": Fraction(1, 5), "if": Fraction(2, 5)}
WIDTHS = {
    "all 8": widths(8),
    "w2": widths(8, weight_bits=2),
    "w1": widths(8, weight_bits=1),
    "mixed": widths(8, weight_bits=3, state_bits=6, membrane_bits=7, synapse_bits=5, error_bits=4),
    "e2": widths(6, weight_bits=4, error_bits=2),
    "wide": widths(10, weight_bits=5, error_bits=9),
    "by layer": widths(
        8,
        weight_bits=[8, 2, 4],
        state_bits=[8, 6, 7],
        membrane_bits=[8, 6, 7],
        synapse_bits=[7, 6, 8],
        error_bits=[5, 8, 6],
    ),
}


def exact_weight(weights: Any) -> Fixed:
    """Stored weights as codes of their format, and the attenuation in the exponent."""
    values, bits = weights.weight.detach().double().numpy(), weights.weight_bits
    attenuation = weights.attenuation.as_integer_ratio()
    assert attenuation[1] == 1
    power = attenuation[0].bit_length() - 1
    assert attenuation[0] == 2**power
    if bits == 1:
        return Fixed(np.where(values < 0, -1, 1), power)
    high = 2 ** (bits - 1) - 1
    return Fixed(np.clip(np.rint(values * 2 ** (bits - 1)), -high, high).astype(np.int64), bits - 1 + power)


def exact_layers(net: SpikingNet, model: Any, neuron: str, slope: int, mask: bool, bits: BitWidths) -> list[Layer]:
    """The same net for `integer_net`."""
    cells = [
        Cell(*DECAYS[neuron], THRESHOLDS[neuron], slope, b.synapse_bits, b.membrane_bits, b.error_bits, mask)
        for b in bits.by_layer(len(net.layers))
    ]
    places = [(g.stride, g.padding, g.pooling) for g in model.geometries()] if isinstance(model, Conv) else []
    layers = []
    for number, layer in enumerate(net.layers.values()):
        parts = {name: exact_weight(w) for name, w in layer.weights().items()}
        kind, place = ("conv", places[number]) if number < len(places) else ("dense", (1, 0, 1))
        layers.append(Layer(kind, parts["weight"], cells[number], parts.get("recurrent_weight"), place))
    return layers


def codes_of(values: Tensor, exponent: int) -> np.ndarray:
    """Values as whole numbers of 2^-exponent; they must be such."""
    scaled = values.double().numpy() * 2.0**exponent
    assert (scaled == np.rint(scaled)).all()
    return scaled.astype(np.int64)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("neuron", DYADIC)
@pytest.mark.parametrize(
    "model", ["feedforward of 2", "recurrent of 2", "conv with stride and padding", "conv with pooling"]
)
def test_spikes_states_errors_and_gradients_equal_whole_numbers_code_for_code(
    model: str, neuron: str, bits: str, backend: Backend
) -> None:
    kind, formats = DYADIC[neuron], WIDTHS[bits]
    slope, mask = SURROGATES[(list(DYADIC).index(neuron) + list(WIDTHS).index(bits)) % len(SURROGATES)]
    kind = type(kind)(**{**vars(kind), "surrogate_slope": float(slope), "threshold_mask": mask})
    net = built(MODELS[model], kind, formats, backend, gain=1.0 if bits == "w1" else 1.5)
    net.clamp_weights()
    x, labels = inputs(5, signed=neuron == "lif")
    wanted = np.where(np.arange(CLASSES) == labels.numpy()[:, None], 5, 1)
    layers = exact_layers(net, MODELS[model], neuron, slope, mask, formats)
    passes, gradients = integer_net(layers, x.numpy().astype(np.int64), wanted)
    found = net.gradients(x, labels, SpikeCountLoss(0.4, 0.1, True))
    assert found.loss == pytest.approx(((passes[-1].spikes.sum(0) - wanted) ** 2).sum() / 2 / BATCH, rel=1e-6)
    for name, layer, done, exact in zip(net.layers, layers, passes, gradients, strict=True):
        activity, shape = found.activity[name], done.spikes.shape
        assert done.spikes.any(), name
        assert exact.weight.any(), name
        assert (activity.spikes.numpy().reshape(shape) == done.spikes).all(), name
        assert (activity.output.numpy() == done.output).all(), name
        membrane = codes_of(activity.membrane, layer.cell.membrane_bits - 1).reshape(shape)
        assert (membrane[:-1] == done.membrane[1:]).all(), name
        exponent = exact.errors.exponent
        error = backend.quantize_error(found.currents[name], layer.cell.error_bits)
        assert (codes_of(error, exponent).reshape(shape) == exact.errors.codes).all(), name
        assert (codes_of(found.weights[f"{name}.weight"], exponent) == exact.weight).all(), name
        if exact.recurrent is not None:
            assert (codes_of(found.weights[f"{name}.recurrent_weight"], exponent) == exact.recurrent).all(), name


@pytest.mark.parametrize("readout", [None, IntegratorParameters(0.75, 0.9375, 8, 8)])
@pytest.mark.parametrize("model", MODELS)
def test_backends_give_the_same_bits_of_quantized_nets(model: str, readout: Any) -> None:
    x, labels = inputs(6)
    loss = CrossEntropyLoss(0.5, "max" if readout else None, True)
    results = []
    for name in ("eager", "numba"):
        net = built(
            MODELS[model], DYADIC["cuba_lif"], widths(8, weight_bits=3), select_backend(name, "cpu"), readout, 1.5
        )
        found = net.gradients(x, labels, loss)
        results.append((found.loss, [*found.weights.values(), *found.currents.values()]))
    assert results[0][0] == results[1][0]
    assert all(torch.equal(one, other) for one, other in zip(results[0][1], results[1][1], strict=True))


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("over_time", [None, "max", "mean"])
@pytest.mark.parametrize("model", ["feedforward of 1", "recurrent of 1", "conv with pooling"])
def test_order_in_the_batch_does_not_change_the_gradient(
    model: str, over_time: str | None, quantized: bool, backend: Backend
) -> None:
    bits, x, labels = widths(8 if quantized else None), *inputs(7)
    readout = None if over_time is None else IntegratorParameters(0.75, 0.9375, None, bits.error_bits)
    net = built(MODELS[model], DYADIC["cuba_lif"], bits, backend, readout, 1.5)
    order = torch.tensor([2, 0, 1])
    loss = CrossEntropyLoss(0.5, over_time, quantized)
    one = net.gradients(x, labels, loss).weights
    one = {name: gradient.clone() for name, gradient in one.items()}
    other = net.gradients(x[:, order].contiguous(), labels[order], loss).weights
    for name in one:
        if quantized:
            assert torch.equal(one[name], other[name]), name
        else:
            assert torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6 * one[name].abs().max().item()), name
