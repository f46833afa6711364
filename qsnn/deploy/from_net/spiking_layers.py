"""The layers of a net that learns by backpropagation, as an integer machine has them, if its forward pass is one of integers.

That is so with ``quantization.arithmetic=integer``, and without it where every width is set and decays are m / 2^k: the float
step then computes on grids, exactly. All that could be rounded is looked for, with the weights as they are, and refused by
name.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from qsnn.deploy.model import CONV, DENSE, INTEGRATOR, RECURRENT, SpikingLayer, State, Weights
from qsnn.deploy.widths import ranges
from qsnn.dynamics.cuba_lif import LIFParameters
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.dynamics.lif import LeakyParameters
from qsnn.dynamics.surrogate import range_of, threshold_codes
from qsnn.dynamics.time_constants import MAX_DECAY_BITS, fraction_bits
from qsnn.errors import ConfigError
from qsnn.layers import SpikingLinear
from qsnn.layers.convolution import SpikingConvolution
from qsnn.layers.integrating_linear import IntegratingLinear
from qsnn.layers.recurrent import RecurrentLinear
from qsnn.layers.stored_weight import StoredWeights
from qsnn.models import SpikingNet
from qsnn.options import impossible
from qsnn.quantization import nearest_codes, symmetric
from qsnn.quantization.accumulators import FLOAT32_CODES

KINDS: dict[type, str] = {
    SpikingLinear: DENSE, RecurrentLinear: RECURRENT, SpikingConvolution: CONV, IntegratingLinear: INTEGRATOR,
}  # fmt: skip
FULL_PRECISION = "full precision has no codes: give a width of 1..16 when you train"


def spiking_layers(net: SpikingNet, inputs: tuple[int, ...], signed: bool) -> tuple[SpikingLayer, ...]:
    """The layers, input first; ``inputs``: shape of a sample's input in a step, ``signed`` if it is -1, 0 and 1.

    Raises ConfigError, with a line for each key that makes the net other than one of integers."""
    wrong = list(dict.fromkeys(text for name, layer in net.layers.items() for text in _floats(name, layer)))
    if wrong:
        raise ConfigError(*wrong)
    found, shape = [], inputs
    for number, (name, layer) in enumerate(net.layers.items()):
        found.append(_layer_of(name, layer, shape))
        wrong += _rounded(found[-1], signed and not number)
        shape = found[-1].outputs
    if wrong:
        raise ConfigError(*wrong)
    return tuple(found)


def neuron_of(layer: Any) -> Any:
    """The parameters of a layer's neurons, or of its integrators."""
    if isinstance(layer, IntegratingLinear):
        return layer.parameters_of_neurons
    return layer.dynamics if isinstance(layer, RecurrentLinear) else layer.lif.dynamics


def _floats(name: str, layer: Any) -> Iterator[str]:
    """What of a layer has no codes."""
    if type(layer) not in KINDS:
        yield impossible("model", type(layer).__name__, f"layer {name} is of a kind that the engine does not know")
        return
    for stored in layer.weights().values():
        if stored.weight_bits is None:
            yield impossible("quantization.weight_bits", None, FULL_PRECISION)
        if math.frexp(stored.attenuation)[0] != 0.5:
            yield f"layer {name}: its attenuation {stored.attenuation:g} is no power of two: train the net anew"
    neuron = neuron_of(layer)
    if type(neuron) not in (LIFParameters, LeakyParameters, IntegratorParameters):
        yield impossible("neuron", type(neuron).__name__, "the engine has the step of cuba_lif, lif and if")
        return
    widths = {
        part: getattr(neuron, part)
        for part in ("membrane_bits", "synapse_bits", "integrator_bits")
        if hasattr(neuron, part)
    }
    for part, bits in widths.items():
        if bits is None:
            yield impossible(f"quantization.{part}", None, FULL_PRECISION)
    yield from _inexact_decays(neuron)


def _inexact_decays(neuron: Any) -> Iterator[str]:
    group = "loss" if isinstance(neuron, IntegratorParameters) else "neuron"
    for part in ("synapse_decay", "membrane_decay"):
        factors = _factors(getattr(neuron, part, None))
        if len(factors) > 1:
            yield f"{group}: neurons of one layer have different decays; the engine has one for all of them"
        for decay in factors:
            if fraction_bits(decay) > MAX_DECAY_BITS:
                remedy = "" if group == "loss" else f", or {group}.decay_bits=8"
                yield (
                    f"{group}.decay makes the {part.replace('_', ' ')} {decay:g}, no multiplier over a power of two: set "
                    f"{group}.decay=dyadic{remedy}"
                )


def _factors(decay: Any) -> list[float]:
    """The different ones."""
    if decay is None:
        return []
    return sorted(set(decay.flatten().tolist())) if isinstance(decay, Tensor) else [float(decay)]


def _rounded(layer: SpikingLayer, signed: bool) -> Iterator[str]:
    """Sums that float32 would have rounded in training."""
    for name, found in ranges(layer, signed).items():
        largest = max(-found.low, found.high)
        if largest > FLOAT32_CODES:
            yield (
                f"{name} of layer {layer.name} can need {found.bits} signed bits, and training rounds it to 25: lower "
                "quantization.weight_bits or the states' widths, or give neuron.decay_bits"
            )


def _layer_of(name: str, layer: Any, inputs: tuple[int, ...]) -> SpikingLayer:
    kind, neuron, stored = KINDS[type(layer)], neuron_of(layer), layer.weights()
    recurrent, maps = stored.get("recurrent_weight"), isinstance(layer, SpikingConvolution)
    neurons = layer.maps if isinstance(layer, SpikingConvolution) else (layer.num_neurons,)
    stride, padding, pooling = (
        (layer.convolution.stride, layer.convolution.padding, layer.pooling) if maps else (1, 0, 1)
    )
    synapse, membrane = _states(neuron)
    spike = mask = None
    if kind != INTEGRATOR:
        spike, mask = threshold_codes(neuron.threshold, neuron.membrane_bits, range_of(neuron))
    return SpikingLayer(
        name, kind, inputs if maps else (math.prod(inputs),), tuple(neurons), tuple(layer.output_shape),
        weights_of(stored["weight"]), None if recurrent is None else weights_of(recurrent), stride, padding, pooling,
        synapse, membrane,
        spike, mask,
    )  # fmt: skip


def weights_of(stored: StoredWeights) -> Weights:
    """The codes that a layer computes with."""
    assert stored.weight_bits is not None
    codes = nearest_codes(stored.weight.detach().cpu(), symmetric(stored.weight_bits)).numpy().astype(np.int64)
    return Weights(codes, stored.weight_bits, stored.weight_bits - 1 + math.frexp(stored.attenuation)[1] - 1)


def _states(neuron: Any) -> tuple[State | None, State]:
    """Synapse and membrane."""
    if isinstance(neuron, IntegratorParameters):
        bits = neuron.integrator_bits, neuron.integrator_bits
    else:
        bits = neuron.synapse_bits or None, neuron.membrane_bits
    assert bits[1] is not None
    membrane = _state(bits[1], neuron.membrane_decay, range_of(neuron))
    return None if bits[0] is None else _state(bits[0], neuron.synapse_decay, range_of(neuron)), membrane


def _state(bits: int, decay: Any, full_scale: float) -> State:
    (factor,) = _factors(decay)
    return State(
        bits, bits - 1 - round(math.log2(full_scale)), round(factor * 2 ** fraction_bits(factor)), fraction_bits(factor)
    )
