"""The memory accounting of [ICONS], the published "73.78 %" to the last bit, and what becomes of it when corrected.

The original sums over layers, for one sample, W weights (without biases), P = Q values of a trace, F features, K = 11 classes:

    W*8 + P*12 + Q*10 + F*(2 + 6) + 2*K*F*6 + K*6 + W*10 + (K + F)*6

that is weights, traces P and Q, refractory state R and membrane U, readout and feedback, readout activation, gradients, errors;
against the same numbers at 32 bits each. `qsnn.hardware.memory` has the product's own, in which stored weights, gradients of
the width of their integers, sigmoid outputs and random state are counted too.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from qsnn.models.geometry import Geometry, Shape
from qsnn.models.local_net import LocalNet
from qsnn.quantization.bit_widths import FULL_PRECISION_BITS, BitWidths

PUBLISHED_FEATURES = 1_440
"""Of the first layer, as the original has it; there are 14,400."""
PUBLISHED_BITS, PUBLISHED_BITS_AT_32 = 26_462_796, 100_928_576


class IconsLayer(NamedTuple):
    """How many values a layer has of each kind; ``neurons`` before pooling, ``features`` after it."""

    weights: int
    biases: int
    inputs: int
    neurons: int
    features: int


class Accounting(NamedTuple):
    """``saved``: the share of the bits at 32 bits that quantization saves."""

    bits: int
    at_32_bits: int

    @property
    def saved(self) -> float:
        """0 to 1."""
        return 1 - self.bits / self.at_32_bits


def icons_layers(inputs: Shape, geometries: Sequence[Geometry]) -> list[IconsLayer]:
    """The layers of a net for ``inputs`` (C, H, W)."""
    found = []
    for geometry in geometries:
        weights = geometry.channels * inputs[0] * geometry.kernel_size**2
        shapes = inputs, geometry.neurons(inputs), geometry.output_shape(inputs)
        values, neurons, features = (torch.Size(shape).numel() for shape in shapes)
        found.append(IconsLayer(weights, geometry.channels, values, neurons, features))
        inputs = shapes[2]
    return found


def layers_of(net: LocalNet) -> list[IconsLayer]:
    """The layers of a net that is built."""
    return [
        IconsLayer(
            layer.weight.numel(), layer.bias.numel(), layer.tau_mem.numel(),
            torch.Size(layer.output_shape()).numel(), torch.Size(layer.pooled_shape()).numel(),
        )
        for layer in net.layers.values()
    ]  # fmt: skip


def accounting(
    layers: Sequence[IconsLayer], bits: BitWidths, num_classes: int, *,
    stored_bits: int | None = None, true_sizes: bool = True, batch_size: int = 1,
) -> Accounting:  # fmt: skip
    """The sum above. ``true_sizes``: with biases, and R and U of as many values as there are neurons, not features;
    ``stored_bits``: of the weights, instead of weight_bits; ``batch_size``: samples with traces, states and errors."""
    counts: list[tuple[int, int]] = []  # how many values, how wide
    for layer in layers:
        states = layer.neurons if true_sizes else layer.features
        weights = layer.weights + (layer.biases if true_sizes else 0)
        counts += [(weights, stored_bits or bits.weight_bits), (weights, bits.gradient_bits)]
        counts += [(2 * num_classes * layer.features, bits.readout_weight_bits)]
        of_a_sample = [
            (layer.inputs, bits.membrane_trace_bits), (layer.inputs, bits.synapse_trace_bits),
            (states, bits.refractory_bits), (states, bits.membrane_bits),
            (num_classes, bits.readout_bits), (num_classes + layer.features, bits.error_bits),
        ]  # fmt: skip
        counts += [(batch_size * count, width) for count, width in of_a_sample]
    return Accounting(
        sum(count * width for count, width in counts), sum(count for count, _ in counts) * FULL_PRECISION_BITS
    )


def accountings(layers: Sequence[IconsLayer], bits: BitWidths, num_classes: int = 11) -> dict[str, Accounting]:
    """``published``: with the features of the first layer as they were written; then each correction on top of the one
    before, but for the last, which is ``true sizes`` in the paper's batches."""
    written = [layers[0]._replace(features=PUBLISHED_FEATURES), *layers[1:]]
    return {
        "published": accounting(written, bits, num_classes, true_sizes=False),
        "features of layer 1 corrected": accounting(layers, bits, num_classes, true_sizes=False),
        "true sizes of R and U, and biases": accounting(layers, bits, num_classes),
        "weights stored at gradient_bits": accounting(layers, bits, num_classes, stored_bits=bits.gradient_bits),
        "true sizes, in batches of 72": accounting(layers, bits, num_classes, batch_size=72),
    }
