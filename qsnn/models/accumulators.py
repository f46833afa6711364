"""The width of everything that a step of learning computes, layer by layer: what an integer machine must have.

The bounds follow from formats, sizes and decays alone, for the weights move: they hold for any weights and any spikes. T time
steps, B batch. Of each layer, in the notation of `qsnn.dynamics.cuba_lif`:

    current          h, sum of the weights of all inputs             raw_synapse, raw_membrane   the states before Q
    spike_gradient   g_s: of the loss, or e_h @ w_q^T from above, and of recurrent errors
    surrogate        g_s times the table's entry, in double          synapse_gradient, membrane_gradient   g_syn, g_mem
    weight_gradient  dw; recurrent_weight_gradient                   rounded_gradient   G, an integer times 2^-(gradient_bits-1)
    update           the stored weight before its clamp              momentum   momentum * b, before it is cut off

Plain torch and the kernels compute all in float32, exactly up to 2^24, but for the surrogate's product (double, 2^53) and the
weight gradient, which is summed exactly and, as a float32, rounded half to even to 24 significant bits.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from qsnn.dynamics.surrogate import range_of
from qsnn.errors import ConfigError
from qsnn.kernels.backend import GradientRounding
from qsnn.layers.activity import Layer
from qsnn.layers.convolution import SpikingConvolution
from qsnn.layers.stored_weight import StoredWeights
from qsnn.models.spiking_net import SpikingNet
from qsnn.quantization.accumulators import (
    FLOAT32_CODES,
    FLOAT64_CODES,
    Bound,
    of_factor,
    of_format,
    of_rounded_gradient,
)

ONE = Bound(1, 0)
IN_DOUBLE, SUMMED_IN_DOUBLE = "surrogate", "weight_gradient"
STATES = "give neuron.decay_bits, other neuron.tau_mem, tau_syn, or lower quantization.membrane_bits, synapse_bits, weight_bits"
LOSS = "or, if the loss is what is large, shorten windows or loss.tau_vr, or lower loss.filter_bits"
KEYS = {
    "current": "lower quantization.weight_bits, or make the layer smaller",
    "raw_synapse": STATES,
    "raw_membrane": STATES,
    "spike_gradient": f"lower quantization.weight_bits, error_bits, {LOSS}",
    IN_DOUBLE: f"lower quantization.surrogate_bits, weight_bits, error_bits, {LOSS}",
    "synapse_gradient": "give neuron.decay_bits, a shorter neuron.tau_syn, or lower quantization.error_bits",
    "membrane_gradient": "give neuron.decay_bits, a shorter neuron.tau_mem, or lower quantization.error_bits",
    SUMMED_IN_DOUBLE: "lower quantization.error_bits, trainer.batch_size or the number of time steps",
    "rounded_gradient": "lower optimizer.eta",
    "update": "lower optimizer.eta or optimizer.momentum, or quantization.gradient_bits, weight_bits",
    "momentum": "lower optimizer.eta, or give an optimizer.momentum of fewer bits, such as 0.875",
}
"""What makes a quantity narrower."""
Accumulators = dict[str, dict[str, Bound]]
"""By layer, input first, and by quantity."""


class Lesson(NamedTuple):
    """What of a run bounds its sums: T, B, the largest integer of the loss's gradient at an output spike, how gradients are
    rounded, by layer, and the momentum."""

    num_steps: int
    batch_size: int
    loss_error: int
    rounding: Mapping[str, GradientRounding]
    momentum: float = 0.0


def _weight(stored: StoredWeights) -> Bound:
    """Codes of the attenuated weights."""
    assert stored.weight_bits is not None
    codes, attenuation = of_format(stored.weight_bits), of_factor(1 / stored.attenuation)
    return codes.times(attenuation)


def _fans(layer: Layer) -> tuple[int, int, int]:
    """Inputs of a neuron, neurons that an input reaches, and places at which a weight is used."""
    shape = layer.weights()["weight"].weight.shape
    if not isinstance(layer, SpikingConvolution):
        return shape[0], shape[1], 1
    reach = (-(-shape[2] // layer.convolution.stride)) ** 2
    return shape[1] * shape[2] * shape[3], shape[0] * reach, layer.maps[1] * layer.maps[2]


def _recurrent(layer: Layer) -> Bound | None:
    """Sum of the recurrent weights of all neurons."""
    stored = layer.weights().get("recurrent_weight")
    return None if stored is None else _weight(stored).summed(stored.weight.shape[0])


def _forward(layer: Layer, neuron: Any) -> dict[str, Bound]:
    """Current and raw states; a neuron without a synapse takes the current itself."""
    current, recurrent = _weight(layer.weights()["weight"]).summed(_fans(layer)[0]), _recurrent(layer)
    current = current if recurrent is None else current.plus(recurrent)
    full_scale = range_of(neuron)
    membrane = of_format(neuron.membrane_bits, full_scale).times(of_factor(float(neuron.membrane_decay)))
    if not neuron.synapse_bits:
        return {"current": current, "raw_membrane": membrane.plus(current).plus(ONE)}
    synapse = of_format(neuron.synapse_bits, full_scale)
    raw_synapse = synapse.times(of_factor(float(neuron.synapse_decay))).plus(current)
    return {"current": current, "raw_synapse": raw_synapse, "raw_membrane": membrane.plus(synapse).plus(ONE)}


def _backward(layer: Layer, neuron: Any, from_above: Bound) -> dict[str, Bound]:
    """Gradients at spikes, threshold and states."""
    error, recurrent = of_format(neuron.error_bits), _recurrent(layer)
    at_spikes = from_above if recurrent is None else from_above.plus(recurrent.times(error))
    table = Bound(2**neuron.surrogate_bits, 0)
    found = {"spike_gradient": at_spikes, IN_DOUBLE: at_spikes.times(table)}
    if neuron.synapse_bits:
        found["synapse_gradient"] = error.times(of_factor(float(neuron.synapse_decay))).plus(error)
    return {**found, "membrane_gradient": error.times(of_factor(float(neuron.membrane_decay))).plus(error)}


def _updates(name: str, layer: Layer, error: Bound, lesson: Lesson) -> dict[str, Bound]:
    """Weight gradients, and what they do to stored weights."""
    rounding, stored = lesson.rounding[name], layer.weights()["weight"]
    assert rounding.gradient_bits is not None
    assert stored.weight_bits is not None
    samples, exponent = lesson.num_steps * lesson.batch_size, rounding.gradient_bits - 1
    found = {SUMMED_IN_DOUBLE: error.summed(samples * _fans(layer)[2])}
    if "recurrent_weight" in layer.weights():
        found[f"recurrent_{SUMMED_IN_DOUBLE}"] = error.summed(samples)
    rounded = Bound(of_rounded_gradient(rounding.eta), exponent)
    moved = Bound(int(rounded.largest / (1 - lesson.momentum)), exponent)
    found |= {"rounded_gradient": rounded, "update": of_format(stored.weight_bits).plus(moved)}
    return found if not lesson.momentum else {**found, "momentum": moved.times(of_factor(lesson.momentum))}


def accumulators(net: SpikingNet, lesson: Lesson) -> Accumulators:
    """The bounds of a net whose every width is set, by the equations above."""
    found, from_above = Accumulators(), Bound(lesson.loss_error, 0)
    for name, layer in reversed(net.layers.items()):
        neuron, error = neuron_of(layer), of_format(layer.weights()["weight"].error_bits or 0)
        found[name] = {
            **_forward(layer, neuron),
            **_backward(layer, neuron, from_above),
            **_updates(name, layer, error, lesson),
        }
        from_above = _weight(layer.weights()["weight"]).times(error).summed(_fans(layer)[1])
    return dict(reversed(found.items()))


def neuron_of(layer: Any) -> Any:
    """The parameters of a spiking layer's neurons."""
    return layer.dynamics if hasattr(layer, "dynamics") else layer.lif.dynamics


def check_accumulators(found: Accumulators) -> None:
    """Raise ConfigError, with one line for each sum that would be rounded where a step must be exact."""
    wrong = []
    for name, quantities in found.items():
        for quantity, bound in quantities.items():
            held = FLOAT64_CODES if quantity == IN_DOUBLE or quantity.endswith(SUMMED_IN_DOUBLE) else FLOAT32_CODES
            if bound.largest > held:
                wrong.append(
                    f"quantization.arithmetic=integer: {quantity} of layer {name} can need {bound.bits} signed bits, "
                    f"{held.bit_length()} with the sign are summed exactly: {KEYS[quantity.removeprefix('recurrent_')]}"
                )
    if wrong:
        raise ConfigError(*wrong)


def widths_of(found: Accumulators) -> dict[str, dict[str, int]]:
    """Signed bits by layer and quantity, for summary.json."""
    return {name: {quantity: bound.bits for quantity, bound in layer.items()} for name, layer in found.items()}
