"""With quantization.arithmetic=integer a program in whole numbers repeats training, every code of every step."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from integer_nets import Cell, Layer, integer_pass
from integer_training import Rule, Stored, computing, softmax_errors, updated, van_rossum
from torch import Tensor

from qsnn.dynamics import SGD
from qsnn.dynamics.cuba_lif import CubaLIF
from qsnn.dynamics.integrate_and_fire import IF
from qsnn.dynamics.lif import LIF
from qsnn.kernels.backend import Backend, GradientRounding
from qsnn.losses.cross_entropy import IntegerCrossEntropyLoss
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.losses.van_rossum import VanRossumDistance
from qsnn.models import SpikingNet
from qsnn.models.accumulators import Lesson, accumulators
from qsnn.models.conv import Conv
from qsnn.models.feedforward import Feedforward
from qsnn.models.recurrent import Recurrent
from qsnn.quantization import symmetric, to_codes
from qsnn.quantization.bit_widths import BitWidths
from qsnn.training.bptt import StepResult, train_step
from qsnn.training.run import Rates
from qsnn.training.state import new_training_state

STEPS, BATCH, CLASSES, MAPS, SEED, UPDATES = 12, 3, 4, (2, 7, 6), 5, 3
CUBA = CubaLIF(threshold=0.6, surrogate_slope=5.0), ((3, 2), (7, 3)), Fraction(3, 5)
FINE = (
    CubaLIF(threshold=0.6, surrogate_slope=100.0, decay="exponential", decay_bits=6),
    ((52, 6), (58, 6)),
    Fraction(3, 5),
)
LEAKY = LIF(threshold=0.7, surrogate_slope=1.0, threshold_mask=True), (None, (7, 3)), Fraction(7, 10)
CASES: dict[str, tuple[Any, Any, dict[str, Any], float]] = {
    "two dense layers, momentum": (Feedforward(hidden=[11, 9]), CUBA, {"weight_bits": [2, 8, 4]}, 0.875),
    "exponential decays, wide codes": (Feedforward(hidden=[10]), FINE,
        {"weight_bits": 6, "state_bits": 11, "error_bits": 10, "surrogate_bits": 16, "gradient_bits": 10}, 0.0),
    "recurrent": (Recurrent(hidden=[10]), CUBA, {"weight_bits": 4, "state_bits": 9, "error_bits": 6}, 0.0),
    "recurrent without a synapse": (Recurrent(hidden=[9, 8]), LEAKY, {"weight_bits": 3}, 0.5),
    "pooled convolutions": (Conv(channels=[4, 3], kernel_size=[3, 2], padding=[1, 0], pooling=[2, 1], stride=[1]), CUBA,
        {"weight_bits": 8}, 0.0),
    "strided convolutions, momentum": (Conv(channels=[3], kernel_size=[3], padding=[2], pooling=[1], stride=[2]), LEAKY,
        {"weight_bits": 1, "error_bits": 5}, 0.75),
    "no leak": (Feedforward(hidden=[8]), (IF(threshold=0.8), (None, (1, 0)), Fraction(4, 5)), {"weight_bits": 4}, 0.0),
}  # fmt: skip


def batch(number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes (T, B, C, H, W), labels, and a raster (T, B, K)."""
    generator = torch.Generator().manual_seed(number)
    x = (torch.rand(STEPS, BATCH, *MAPS, generator=generator) < 0.3).float()
    labels = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    return x, labels, (torch.rand(STEPS, BATCH, CLASSES, generator=generator) < 0.3).float()


class Machine:
    """The same net in whole numbers, taken over once, before the first step."""

    def __init__(self, net: SpikingNet, model: Any, neuron: Any, widths: list[BitWidths], momentum: float) -> None:
        option, decays, threshold = neuron
        power, bits = momentum.as_integer_ratio(), widths[0]
        self.rule = Rule(4, bits.gradient_bits, bits.rng_bits, (power[0], power[1].bit_length() - 1), SEED)
        self.cells = [
            Cell(decays[0], decays[1], threshold, int(option.surrogate_slope), w.synapse_bits, w.membrane_bits, w.error_bits,
                 option.threshold_mask, w.surrogate_bits)
            for w in widths
        ]  # fmt: skip
        places = [(g.stride, g.padding, g.pooling) for g in model.geometries()] if isinstance(model, Conv) else []
        self.places = [*places, *[(1, 0, 1)] * (len(widths) - len(places))]
        self.kinds = ["conv"] * len(places) + ["dense"] * (len(widths) - len(places))
        grid, self.widths, self.shifts, self.stored = symmetric(bits.gradient_bits), {}, {}, {}
        for name, weight in net.weights().items():
            codes = to_codes(weight.weight.detach(), grid).numpy().astype(np.int64)
            self.stored[name] = Stored(codes, np.zeros_like(codes))
            self.widths[name], self.shifts[name] = weight.weight_bits or 0, int(np.log2(weight.attenuation))
        self.names = list(net.layers)

    def layers(self) -> list[Layer]:
        """With the weights as they are."""
        parts = {n: computing(self.stored[n], self.widths[n], self.shifts[n], self.rule) for n in self.stored}
        return [
            Layer(kind, parts[f"{name}.weight"], cell, parts.get(f"{name}.recurrent_weight"), place)
            for name, cell, place, kind in zip(self.names, self.cells, self.places, self.kinds, strict=True)
        ]

    def step(self, x: np.ndarray, loss: Any) -> Any:
        """Learn; passes, gradients, and G by tensor."""
        passes, gradients = integer_pass(self.layers(), x, loss)
        rounded = {}
        for name, found in zip(self.names, gradients, strict=True):
            for part, gradient in (("weight", found.weight), ("recurrent_weight", found.recurrent)):
                if gradient is not None:
                    key = f"{name}.{part}"
                    self.stored[key], rounded[key] = updated(
                        key, self.stored[key], gradient, self.widths[key], self.rule
                    )
        return passes, gradients, rounded


def codes(values: Tensor, exponent: int) -> np.ndarray:
    scaled = values.detach().double().numpy() * 2.0**exponent
    assert (scaled == np.rint(scaled)).all()
    return scaled.astype(np.int64)


def taken_over(case: str, backend: Backend) -> tuple[SpikingNet, Machine, BitWidths]:
    """The net of a case, its machine, its widths."""
    model, neuron, others, momentum = CASES[case]
    others = {"gradient_bits": 8, "error_bits": 8, "state_bits": 8, **others}
    bits = BitWidths(**others, arithmetic="integer")
    net = model.build_spiking(MAPS, CLASSES, neuron[0], bits, None, SEED, backend)
    net.clamp_weights()
    return net, Machine(net, model, neuron, bits.by_layer(len(net.layers)), momentum), bits


def criterion_of(loss: str, backend: Backend) -> Any:
    return {
        "spike_count": SpikeCountLoss(0.4, 0.1, True),
        "van_rossum": VanRossumDistance(0.75, 5e-3, backend, 6),
        "cross_entropy": IntegerCrossEntropyLoss(0.5, 7),
    }[loss]


def errors_of(loss: str, labels: np.ndarray, target: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What `criterion_of` sends back, in whole numbers, from output spikes (T, B, K)."""
    wanted = np.where(np.arange(CLASSES) == labels[:, None], 5, 1)  # rint(0.4 * 12), rint(0.1 * 12)
    exponentials = [round(2**7 * math.exp(-0.5 * below)) for below in range(STEPS + 1)]
    return {
        "spike_count": lambda s: np.broadcast_to(s.sum(0) - wanted, s.shape),
        "van_rossum": lambda s: van_rossum(s, target, (3, 2), 6),
        "cross_entropy": lambda s: softmax_errors(s, labels, exponentials),
    }[loss]


def check_layers(
    number: int, net: SpikingNet, done: StepResult, passes: list[Any], gradients: list[Any], bounds: Any
) -> None:
    """Spikes, membranes and gradients are those of the machine, and none is wider than was said."""
    for name, layer, exact in zip(net.layers, passes, gradients, strict=True):
        activity = done.activity[name]
        assert (activity.spikes.numpy().reshape(layer.spikes.shape) == layer.spikes).all(), (number, name)
        membrane = codes(activity.membrane, net.layers[name].state_widths()[1] - 1).reshape(layer.membrane.shape)
        assert (membrane[:-1] == layer.membrane[1:]).all(), (number, name)
        assert (codes(done.gradients[f"{name}.weight"], exact.errors.exponent) == exact.weight).all(), (number, name)
        assert np.abs(exact.weight).max() <= bounds[name]["weight_gradient"].largest


def check_weights(number: int, net: SpikingNet, done: StepResult, machine: Machine, rounded: dict[str, Any]) -> None:
    """Rounded gradients and stored weights are those of the machine."""
    exponent = machine.rule.gradient_bits - 1
    for name, g in rounded.items():
        assert (codes(done.rounded[name], exponent) == g).all(), (number, name)
        net.clamp_weights()
        found = codes(net.weights()[name].weight, exponent)
        assert (found == machine.stored[name].codes).all(), (number, name)


@pytest.mark.parametrize(
    ("case", "loss"),
    [
        *((case, ("spike_count", "van_rossum")[number % 2]) for number, case in enumerate(CASES)),
        ("two dense layers, momentum", "cross_entropy"),
        ("pooled convolutions", "cross_entropy"),
    ],
)
def test_training_is_repeated_by_whole_numbers_code_for_code(case: str, loss: str, backend: Backend) -> None:
    net, machine, bits = taken_over(case, backend)
    momentum, criterion = CASES[case][-1], criterion_of(loss, backend)
    state = new_training_state(net, SGD(1.0, momentum, 2.0 ** (1 - bits.gradient_bits)), SEED)
    rounding = {name: GradientRounding(16.0, bits.gradient_bits, bits.rng_bits, "unbiased") for name in net.layers}
    bounds = accumulators(net, Lesson(STEPS, BATCH, criterion.largest_error(STEPS), rounding, momentum))
    for number in range(UPDATES):
        x, labels, raster = batch(number)
        at_output = errors_of(loss, labels.numpy(), raster.numpy().astype(np.int64))
        passes, gradients, rounded = machine.step(x.numpy().astype(np.int64), at_output)
        taught = raster if loss == "van_rossum" else labels
        done = train_step(state, x, taught, criterion, Rates(rounding, 1.0), keep=True)
        check_layers(number, net, done, passes, gradients, bounds)
        check_weights(number, net, done, machine, rounded)
    assert all(layer.spikes.any() for layer in passes)
    assert any(g.any() for g in rounded.values())
