"""How many signed bits every sum of learning takes: proved from formats, sizes and decays, for the weights move.

The bounds hold for any weights, any inputs and any random numbers, and for every partial sum in any order. They are those of
`qsnn.models.accumulators` and `qsnn.dynamics.integer_local.widths`, in whole numbers, with what these leave to floats:

    input_gradient, recurrent_error    e_h w^T, and e w_r^T of a recurrent layer
    filter                             the multiplication in the van Rossum filter, of which each step cuts off
    softmax                            2 2^f E + S, the numerator of a division
    scaled_error                       |x| 2^(bits-1) / 2^s of E, before it is clamped
    scaled_gradient                    |g| 2^(log_eta + rng_bits - s), before its last rng_bits decide

A sum of partial products may be wider than its result where numbers cancel: the bound is of the sum of sizes.
"""

import math
from typing import NamedTuple

from qsnn.deploy.arithmetic import highest_code, signed_bits
from qsnn.deploy.model import CONV, Layer, LocalLayer, Model, SpikingLayer, State, Weights, size
from qsnn.deploy.training.recipe import (
    SLOPE_FRACTION,
    LocalRule,
    Recipe,
    Softmax,
    SpikingRule,
    Stored,
    VanRossum,
)
from qsnn.deploy.widths import ranges

Widths = dict[str, dict[str, int]]
"""By layer and sum."""


class Bound(NamedTuple):
    """``|code| <= largest``, worth 2^-point."""

    largest: int
    point: int

    def plus(self, other: "Bound") -> "Bound":
        """Of the sum, on the finer of both grids."""
        point = max(self.point, other.point)
        return Bound((self.largest << (point - self.point)) + (other.largest << (point - other.point)), point)

    def times(self, factor: int, shift: int = 0) -> "Bound":
        """Of the product with ``factor * 2^-shift``."""
        return Bound(self.largest * factor, self.point + shift)


def learning_widths(model: Model, recipe: Recipe) -> Widths:
    """Signed bits of every sum, by layer and name, those of the step included."""
    found, above = Widths(), _of_loss(recipe)
    for number, layer in reversed(list(enumerate(model.layers))):
        rule, first = recipe.rules[number], number == 0 and model.input.signed
        if isinstance(layer, LocalLayer):
            assert isinstance(rule, LocalRule)
            bounds = _local(layer, rule, recipe, first)
        else:
            assert isinstance(rule, SpikingRule)
            bounds, above = _spiking(layer, rule, recipe, above)
            if number == len(model.layers) - 1:
                bounds |= _inside_loss(recipe, size(layer.outputs))
        bounds |= _updates(layer, recipe, bounds)
        found[layer.name] = {name: signed_bits(-bound, bound) for name, bound in bounds.items()}
    return dict(reversed(found.items()))


def _filter_ends(loss: VanRossum, steps: int) -> tuple[int, int]:
    """Largest numbers of the filter forward, and back over it: by their recursions, which grow with what they begin with."""
    found, arriving = [], 1 << loss.filter_bits
    for _ in range(2):
        trace = 0
        for _ in range(steps):
            following = (trace * loss.multiplier >> loss.shift) + arriving
            if following == trace:
                break
            trace = following
        found.append(trace)
        arriving = trace
    return found[0], found[1]


def _of_loss(recipe: Recipe) -> Bound:
    """The gradient at an output spike."""
    loss, steps = recipe.loss, recipe.extent.steps
    if isinstance(loss, VanRossum):
        return Bound(_filter_ends(loss, steps)[1], 0)
    return Bound(1 << loss.bits if isinstance(loss, Softmax) else steps, 0)


def _inside_loss(recipe: Recipe, outputs: int) -> dict[str, int]:
    loss = recipe.loss
    if isinstance(loss, VanRossum):
        return {"filter": _filter_ends(loss, recipe.extent.steps)[1] * loss.multiplier}
    if isinstance(loss, Softmax):
        entry = 1 << loss.bits
        return {"softmax": 2 * entry * entry + outputs * entry}
    return {}


def _weight(weight: Weights) -> Bound:
    return Bound(highest_code(weight.bits), weight.point)


def _fans(layer: SpikingLayer) -> tuple[int, int, int]:
    """Inputs of a neuron, neurons that an input reaches, and places at which a weight is used."""
    shape = layer.weight.codes.shape
    if layer.kind != CONV:
        return shape[0], shape[1], 1
    return shape[1] * shape[2] * shape[3], shape[0] * (-(-shape[2] // layer.stride)) ** 2, size(layer.neurons[1:])


def _state(state: State, bits: int | None = None) -> Bound:
    """Codes times the decay."""
    codes = Bound(highest_code(state.bits), state.point) if bits is None else Bound(highest_code(bits), bits - 1)
    return codes.times(state.multiplier, state.shift)


def _spiking(layer: SpikingLayer, rule: SpikingRule, recipe: Recipe, above: Bound) -> tuple[dict[str, int], Bound]:
    """Bounds by name, and that of the gradient at the layer's inputs."""
    (inputs, reached, places), extent = _fans(layer), recipe.extent
    error, samples = Bound(highest_code(rule.error_bits), rule.error_bits - 1), extent.steps * extent.samples
    current = _weight(layer.weight).times(inputs)
    found = {"current": current.largest}
    at_spikes = above
    if layer.recurrent is not None:
        own = _weight(layer.recurrent).times(size(layer.neurons))
        back = own.times(error.largest, error.point)
        current, at_spikes = current.plus(own), at_spikes.plus(back)
        found |= {"current": current.largest, "recurrent": own.largest, "recurrent_error": back.largest}
        found["recurrent_weight_gradient"] = error.largest * samples
    reset, states = Bound(1, 0), [_state(layer.membrane)]
    if layer.synapse is None:
        states.append(current)
    else:
        states.append(Bound(highest_code(layer.synapse.bits), layer.synapse.point))
        found["raw_synapse"] = _state(layer.synapse).plus(current).largest
        found["synapse_gradient"] = _state(layer.synapse, rule.error_bits).plus(error).largest
    below = _weight(layer.weight).times(error.largest, error.point).times(reached)
    found |= {
        "raw_membrane": states[0].plus(states[1]).plus(reset).largest,
        "spike_gradient": at_spikes.largest, "surrogate": at_spikes.largest << rule.surrogate_bits,
        "membrane_gradient": _state(layer.membrane, rule.error_bits).plus(error).largest,
        "weight_gradient": error.largest * samples * places, "input_gradient": below.largest,
        "scaled_error": 1 << rule.error_bits,
    }  # fmt: skip
    return found, below


def _before_rounding(largest: int, error_bits: int) -> int:
    """Small sums are shifted to the left, where their largest reaches 2^(bits-1) sqrt(2)."""
    return max(largest, 1 << error_bits)


def _local(layer: LocalLayer, rule: LocalRule, recipe: Recipe, signed: bool) -> dict[str, int]:
    assert layer.readout is not None
    forward = {name: max(-found.low, found.high) for name, found in ranges(layer, signed, fixed=False).items()}
    readout = ranges(layer, signed)["readout"]  # of a matrix that stays as it is
    forward["readout"] = max(-readout.low, readout.high)
    error, bits = highest_code(rule.error_bits), rule.error_bits
    errors = recipe.extent.samples * size(layer.neurons[1:]) * error
    outer = (error << SLOPE_FRACTION) + rule.l1
    return {
        **forward, "refractory": int(layer.membrane.subtracted.max()), "scaled_error": 1 << bits,
        "readout_error": _before_rounding(1 << (layer.readout.bits + 1), bits),
        "feedback": _before_rounding(error * int(abs(rule.feedback.codes).sum(0).max()), bits),
        "membrane_total": 80 * recipe.extent.samples * size(layer.neurons) * highest_code(layer.membrane.u_bits),
        "membrane_error": _before_rounding(outer * int(rule.slope.max()) + rule.l2, bits),
        "weight_gradient": errors * (2**layer.traces.p_bits - 1), "bias_gradient": errors,
    }  # fmt: skip


def rounded_bound(log_eta: int) -> int:
    """Largest integer of a rounded gradient: ``eta |g| / 2^s`` is at most sqrt(2) eta, and goes up to the next integer."""
    return math.isqrt(2 << 2 * log_eta) + 1 if log_eta >= 0 else 1


def _updates(layer: Layer, recipe: Recipe, bounds: dict[str, int]) -> dict[str, int]:
    """What gradients do to the stored codes of a layer."""
    update, found = recipe.update, dict[str, int]()
    for stored in _of_layer(layer, recipe):
        gradient = max(bounds[name] for name in bounds if name.endswith("_gradient"))
        moved = rounded = rounded_bound(update.log_eta)
        if update.momentum:  # b = trunc(m b) + G from 0 on: by the recursion, which ends
            moved = rounded * (1 << update.momentum_shift) // ((1 << update.momentum_shift) - update.momentum)
        shifted = (3 << max(0, update.log_eta + stored.rng_bits)) // 2 + 1
        new = {
            "scaled_gradient": max(gradient, shifted), "rounded_gradient": rounded,
            "update": stored.limit + (moved << stored.step()),
        } | ({"momentum": moved * update.momentum} if update.momentum else {})  # fmt: skip
        found = {name: max(bound, found.get(name, 0)) for name, bound in new.items()}
    return found


def _of_layer(layer: Layer, recipe: Recipe) -> list[Stored]:
    return [stored for name, stored in recipe.stored.items() if name.partition(".")[0] == layer.name]
