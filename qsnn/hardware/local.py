"""Memory of nets that learn locally. NUMERICS section 7; a layer of inputs C * H * W, neurons O * H' * W', F of them after
pooling, K classes.

In inference, a layer:

    weights, biases                  O * C * k * k * weight_bits, O * weight_bits
    membrane trace, synapse trace    inputs * membrane_trace_bits, inputs * synapse_trace_bits
    refractory state, membrane       neurons * refractory_bits, neurons * membrane_bits
    readout, readout activation      K * F * readout_weight_bits, K * readout_bits; of the last layer, which answers

Training adds what `qsnn.hardware.learning` has, no history, and

    readout, readout activation      of the other layers
    feedback                         K * F * readout_weight_bits
    sigmoid outputs                  F * sigmoid_bits, of each sample
    errors                           (K + F) * error_bits, of each sample: at the readout and behind the feedback
    random state of dropout          2 * 64
"""

import math
from collections.abc import Iterator

from qsnn.hardware.learning import Learning, Trained, learned, random_state
from qsnn.hardware.terms import Term, term
from qsnn.layers.integer_local_layer import IntegerLocalLayer
from qsnn.layers.local_layer import LocalLayer
from qsnn.models.local_net import LocalNet

WEIGHT_SIZES = ("outputs", "channels", "rows", "columns")


def terms_of_local_net(net: LocalNet, learning: Learning | None) -> dict[str, list[Term]]:
    """By layer; ``learning`` of None: inference alone."""
    last = list(net.layers)[-1]
    return {
        name: [
            *_inference(layer),
            *(_readout(layer, inference=name == last) if learning is not None or name == last else ()),
            *(_training(name, layer, learning) if learning is not None else ()),
        ]
        for name, layer in net.layers.items()
    }


def _inference(layer: LocalLayer) -> Iterator[Term]:
    s, inputs, neurons = layer.settings, layer.tau_mem.numel(), math.prod(layer.output_shape())
    sizes = dict(zip(WEIGHT_SIZES, layer.weight.shape, strict=True))
    yield term("weights", sizes, ("weight_bits", s.weight_bits), inference=True)
    yield term("biases", {"outputs": layer.bias.numel()}, ("weight_bits", s.weight_bits), inference=True)
    for name, count, size, bits in (
        ("membrane trace", inputs, "inputs", s.membrane_trace_bits),
        ("synapse trace", inputs, "inputs", s.synapse_trace_bits),
        ("refractory state", neurons, "neurons", s.refractory.refractory_bits),
        ("membrane", neurons, "neurons", s.refractory.membrane_bits),
    ):
        width = (f"{name.replace(' state', '').replace(' ', '_')}_bits", bits)
        yield term(name, {size: count}, width, per_sample=True, inference=True)


def _readout(layer: LocalLayer, inference: bool) -> Iterator[Term]:
    s, (classes, features) = layer.settings, layer.readout_weight.shape
    sizes = {"classes": classes, "features": features}
    yield term("readout", sizes, ("readout_weight_bits", s.readout_weight_bits), inference=inference)
    activation = {"classes": classes}
    yield term("readout activation", activation, ("readout_bits", s.readout_bits), per_sample=True, inference=inference)


def _training(name: str, layer: LocalLayer, learning: Learning) -> Iterator[Term]:
    s, (classes, features) = layer.settings, layer.readout_weight.shape
    for part, count in (("weights", layer.weight.numel()), ("biases", layer.bias.numel())):
        yield from learned(name, Trained(part, count, s.weight_bits, grid_of(layer)), learning)
    sizes = {"classes": classes, "features": features}
    yield term("feedback", sizes, ("readout_weight_bits", s.readout_weight_bits))
    yield term("sigmoid outputs", {"features": features}, ("sigmoid_bits", s.sigmoid_bits), per_sample=True)
    yield term("errors", {"(classes + features)": classes + features}, ("error_bits", s.error_bits), per_sample=True)
    if learning.drops:
        yield random_state("random state of dropout")


def grid_of(layer: LocalLayer) -> int | None:
    """Width of the grid that weights start on: their own; of integers the gradients', whose range holds both."""
    s = layer.settings
    return s.gradient_bits if isinstance(layer, IntegerLocalLayer) else s.weight_bits
