"""Stated widths hold for the worst weights, spikes and errors that the formats allow, and are not wider than these need."""

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_nets import Cell, Fixed, Layer, backward, forward

from qsnn.dynamics.cuba_lif import CubaLIF
from qsnn.dynamics.lif import LIF
from qsnn.errors import ConfigError
from qsnn.kernels.backend import GradientRounding
from qsnn.kernels.dispatch import select_backend
from qsnn.losses.van_rossum import VanRossumDistance
from qsnn.models.accumulators import Accumulators, Lesson, accumulators, check_accumulators
from qsnn.models.conv import Conv
from qsnn.models.feedforward import Feedforward
from qsnn.models.recurrent import Recurrent
from qsnn.quantization.accumulators import Bound, of_factor
from qsnn.quantization.bit_widths import BitWidths

MAPS, CLASSES, STEPS, BATCH = (2, 6, 5), 4, 5, 2
MODELS = {
    "dense": Feedforward(hidden=[9]),
    "recurrent": Recurrent(hidden=[9]),
    "conv": Conv(channels=[3], kernel_size=[3], padding=[1], pooling=[1], stride=[1]),
    "strided": Conv(channels=[3], kernel_size=[3], padding=[1], pooling=[1], stride=[2]),
}
NEURONS = {"cuba_lif": (CubaLIF(threshold=0.6), ((3, 2), (7, 3))), "lif": (LIF(threshold=0.6), (None, (7, 3)))}


def extreme(generator: np.random.Generator, high: int, shape: tuple[int, ...], alike: bool) -> np.ndarray:
    """All of them +-high, in random places or everywhere the same sign."""
    signs = np.ones(shape, np.int64) if alike else generator.integers(0, 2, shape) * 2 - 1
    return signs * high


def holds(bound: Bound, *values: Fixed) -> bool:
    return all(
        value.exponent <= bound.exponent and np.abs(value.at(bound.exponent)).max() <= bound.largest for value in values
    )


def exact_net(
    net: Any, model: Any, decays: Any, bits: BitWidths, generator: np.random.Generator, alike: bool
) -> list[Layer]:
    """With extreme weights."""
    cell = Cell(
        *decays, Fraction(3, 5), 1, bits.synapse_bits, bits.membrane_bits, bits.error_bits, False, bits.surrogate_bits
    )
    layers = []
    for number, layer in enumerate(net.layers.values()):
        high = 2 ** (bits.weight_bits - 1) - 1 or 1
        parts = {
            name: Fixed(
                extreme(generator, high, tuple(w.weight.shape), alike),
                bits.weight_bits - 1 + int(np.log2(w.attenuation)),
            )
            for name, w in layer.weights().items()
        }
        conv = isinstance(model, Conv) and number == 0
        place = (model.stride[0], model.padding[0], 1) if conv else (1, 0, 1)
        layers.append(Layer("conv" if conv else "dense", parts["weight"], cell, parts.get("recurrent_weight"), place))
    return layers


def stated(model: Any, neuron: Any, bits: BitWidths) -> tuple[Any, Accumulators]:
    net = model.build_spiking(MAPS, CLASSES, neuron, bits, None, 1, select_backend("eager", "cpu"))
    rounding = dict.fromkeys(net.layers, GradientRounding(16.0, 8, 16, "unbiased"))
    return net, accumulators(net, Lesson(STEPS, BATCH, STEPS, rounding))


@given(st.sampled_from(list(MODELS)), st.sampled_from(list(NEURONS)), st.integers(1, 9), st.integers(3, 12), st.integers(2, 9),
       st.integers(0, 9), st.booleans())  # fmt: skip
@settings(max_examples=25)
def test_no_sum_exceeds_its_bound(
    model: str, neuron: str, weight_bits: int, state_bits: int, error_bits: int, seed: int, alike: bool
) -> None:
    bits = BitWidths(weight_bits, state_bits, error_bits=error_bits, arithmetic="integer")
    option, decays = NEURONS[neuron]
    net, bounds = stated(MODELS[model], option, bits)
    generator = np.random.default_rng(seed)
    layers = exact_net(net, MODELS[model], decays, bits, generator, alike)
    x = np.ones((STEPS, BATCH, *MAPS), np.int64) if alike else generator.integers(0, 2, (STEPS, BATCH, *MAPS))
    hidden = forward(layers[0], x)
    output = forward(layers[1], hidden.output)
    grad = Fixed(extreme(generator, STEPS, output.spikes.shape, alike), 0)
    for name, layer, done in (("output", layers[1], output), ("hidden", layers[0], hidden)):
        found = bounds[name]
        assert holds(found["spike_gradient"], grad)
        gradients, grad = backward(layer, done, grad)
        assert holds(found["raw_membrane"], *done.raw_membrane)
        assert holds(found["current" if neuron == "lif" else "raw_synapse"], *done.raw_synapse)
        assert np.abs(gradients.weight).max() <= found["weight_gradient"].largest
        if gradients.recurrent is not None:
            assert np.abs(gradients.recurrent).max() <= found["recurrent_weight_gradient"].largest


def test_bounds_of_currents_and_of_errors_from_above_are_reached() -> None:
    bits = BitWidths(8, 8, arithmetic="integer")
    net, bounds = stated(MODELS["dense"], NEURONS["lif"][0], bits)
    layers = exact_net(net, MODELS["dense"], NEURONS["lif"][1], bits, np.random.default_rng(0), True)
    hidden = forward(layers[0], np.ones((STEPS, BATCH, *MAPS), np.int64))
    assert hidden.raw_synapse[0].codes.max() == bounds["hidden"]["current"].largest == 60 * 127
    assert bounds["hidden"]["spike_gradient"].largest == CLASSES * 127 * 127
    assert bounds["output"]["weight_gradient"].largest == STEPS * BATCH * 127


def test_filter_in_fixed_point_stays_within_the_bound_of_its_gradient() -> None:
    loss = VanRossumDistance(0.75, 5e-3, select_backend("eager", "cpu"), 8)
    always = torch.ones(400, 1, 1)
    largest = loss.backend.van_rossum_codes(always, torch.zeros_like(always), 0.75, 8).max().item()
    assert 0.98 * loss.largest_error(400) < largest <= loss.largest_error(400) == 256 * 16
    assert loss.largest_error(2) == 4 * 256


def test_too_wide_a_sum_is_told_for_each_layer_and_quantity() -> None:
    good = {"hidden": {"current": Bound(2**24, 3), "surrogate": Bound(2**53, 0), "weight_gradient": Bound(2**30, 7)}}
    check_accumulators(good)
    bad = {
        "hidden": {"current": Bound(2**24 + 1, 3), "surrogate": Bound(2**53 + 1, 0)},
        "output": {"update": Bound(2**25, 0)},
    }
    with pytest.raises(ConfigError) as refused:
        check_accumulators(bad)
    assert re.findall(r"(\w+) of layer (\w+)", str(refused.value)) == [
        ("current", "hidden"), ("surrogate", "hidden"), ("update", "output")
    ]  # fmt: skip


def test_factors_are_multipliers_over_a_power_of_two() -> None:
    assert of_factor(0.875) == (7, 3)
    assert of_factor(0.25) == (1, 2)
    assert of_factor(4.0) == (4, 0)
