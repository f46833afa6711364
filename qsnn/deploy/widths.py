"""How many signed bits every sum of a layer takes: proved, from the formats alone and from the weights as they are.

A sum of weights over inputs that are 0 or 1 lies between the sum of the negative weights and that of the positive ones,
whichever inputs are 1, and so does every partial sum in any order; signed inputs reach both ends with either sign. All else
follows by arithmetic of intervals: states and codes lie within their formats. Nothing is measured.

    current, recurrent          sums of the weights of inputs, and of a layer's own spikes
    raw_synapse, raw_membrane   the states before they are rounded, on the finest grid of their terms
    synapse_trace, membrane_trace, convolution, bias_product, drive, membrane_product, readout   of local learning, see
    `qsnn.deploy.local`
"""

from typing import NamedTuple

import numpy as np

from qsnn.deploy.arithmetic import Whole, highest_code, signed_bits
from qsnn.deploy.model import INTEGRATOR, Layer, LocalLayer, LocalMembrane, Model, SpikingLayer, State, Weights


class Range(NamedTuple):
    """Integers ``low`` .. ``high``, worth 2^-point each."""

    low: int
    high: int
    point: int = 0

    @property
    def bits(self) -> int:
        """Of two's complement."""
        return signed_bits(self.low, self.high)

    def at(self, point: int) -> "Range":
        """On a finer grid."""
        return Range(self.low << (point - self.point), self.high << (point - self.point), point)

    def plus(self, other: "Range") -> "Range":
        """Of the sum, on the finer of both grids."""
        point = max(self.point, other.point)
        one, two = self.at(point), other.at(point)
        return Range(one.low + two.low, one.high + two.high, point)

    def times(self, multiplier: int, shift: int = 0) -> "Range":
        """Of the product with ``multiplier * 2^-shift``, of at least 0."""
        return Range(self.low * multiplier, self.high * multiplier, self.point + shift)


class Width(NamedTuple):
    """``bits``: signed, with the weights as they are; ``format_bits``: with any of their formats; ``point`` of the sum."""

    bits: int
    format_bits: int
    point: int


Ranges = dict[str, Range]


def widths(layer: Layer, signed: bool) -> dict[str, Width]:
    """Of every sum of a layer, by name; ``signed``: whether its inputs are -1, 0 and 1."""
    actual, formats = ranges(layer, signed), ranges(layer, signed, fixed=False)
    return {name: Width(found.bits, formats[name].bits, found.point) for name, found in actual.items()}


def widths_of(model: Model) -> dict[str, dict[str, Width]]:
    """Of all layers, by name."""
    return {layer.name: widths(layer, model.input.signed and not n) for n, layer in enumerate(model.layers)}


def ranges(layer: Layer, signed: bool, fixed: bool = True) -> Ranges:
    """What every sum of a layer can be, by name; ``fixed``: with the weights as they are, else with any of their formats."""
    if isinstance(layer, LocalLayer):
        return _local(layer, signed, fixed)
    return _spiking(layer, signed, fixed)


def of_products(weight: Weights, outputs: int, high: int, signed: bool, fixed: bool) -> Range:
    """Sum of weights times inputs 0 .. ``high``, or -high .. high where ``signed``, over all but axis ``outputs``."""
    flat = np.moveaxis(weight.codes, outputs, 0).reshape(weight.codes.shape[outputs], -1)
    if not fixed:
        largest = flat.shape[1] * highest_code(weight.bits) * high
        return Range(-largest, largest, weight.point)
    negative, positive = (int(np.where(part, flat, 0).sum(1).__abs__().max()) for part in (flat < 0, flat > 0))
    if signed:
        largest = int(np.abs(flat).sum(1).max())
        negative = positive = largest
    return Range(-negative * high, positive * high, weight.point)


def of_state(state: State) -> Range:
    """The codes of a state; 0, at rest, is among them."""
    return Range(-highest_code(state.bits), highest_code(state.bits), state.point)


def _spiking(layer: SpikingLayer, signed: bool, fixed: bool) -> Ranges:
    current = of_products(layer.weight, 0 if layer.weight.codes.ndim == 4 else 1, 1, signed, fixed)
    found = {"current": current}
    if layer.recurrent is not None:
        found["recurrent"] = of_products(layer.recurrent, 1, 1, False, fixed)
        current = current.plus(found["recurrent"])
    membrane = of_state(layer.membrane).times(layer.membrane.multiplier, layer.membrane.shift)
    reset = Range(0 if layer.kind == INTEGRATOR else -1, 0)
    if layer.synapse is None:
        return {**found, "raw_membrane": membrane.plus(current).plus(reset)}
    synapse = of_state(layer.synapse)
    found["raw_synapse"] = synapse.times(layer.synapse.multiplier, layer.synapse.shift).plus(current)
    return {**found, "raw_membrane": membrane.plus(synapse).plus(reset)}


def _largest_sum(*products: tuple[Whole, int]) -> int:
    """Largest of the sums of arrays of at least 0 times numbers; Python's integers have no end."""
    return int(max(sum(part.astype(object) * number for part, number in products).ravel()))  # type: ignore[union-attr]


def _local(layer: LocalLayer, signed: bool, fixed: bool) -> Ranges:
    t, half = layer.traces, 1 << layer.traces.shift >> 1
    p_high, q_high = 2**t.p_bits - 1, 2**t.q_bits - 1
    low = -int(t.q2.max()) if signed else 0
    found = {
        "synapse_trace": Range(low, _largest_sum((t.q1, q_high), (t.q2, 1)) + half),
        "membrane_trace": Range(0, _largest_sum((t.p1, p_high), (t.p2, q_high)) + half),
    }
    biases = _biases(layer, fixed)
    product = Range(biases.low * layer.membrane.b1, biases.high * layer.membrane.b1 + (1 << layer.membrane.b2 >> 1))
    shifted = Range(product.low >> layer.membrane.b2, product.high >> layer.membrane.b2)
    sums = of_products(layer.weight, 0, p_high, False, fixed)._replace(point=0)
    found |= {"convolution": sums, "bias_product": product, "drive": Range(0, 0).plus(sums).plus(shifted)}
    found["membrane_product"] = _membrane_product(layer.membrane, found["drive"])
    if layer.readout is not None:
        r = layer.readout
        sums = of_products(r.weight, 0, 2**r.z_bits - 1, False, fixed)
        found["readout"] = sums._replace(point=0).times(1 << max(0, -r.shift))
    return found


def _biases(layer: LocalLayer, fixed: bool) -> Range:
    highest = highest_code(layer.weight.bits)
    return Range(int(layer.bias.min()), int(layer.bias.max())) if fixed else Range(-highest, highest)


def _membrane_product(m: LocalMembrane, drive: Range) -> Range:
    half, subtracted = 1 << m.u2 >> 1, int(m.subtracted.max()) << (m.u2 - 8)
    return Range(drive.low * m.u1 - subtracted, drive.high * m.u1 + half)
