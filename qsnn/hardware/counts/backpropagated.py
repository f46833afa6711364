"""Operations and accesses of nets that learn by backpropagation through time: docs/cost.md has every formula.

All are of one sample: T steps, a layer of N neurons with I places in its input, rates a step (`qsnn.hardware.counts.rates`).
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from qsnn.hardware.backpropagated import STATES as STATE_NAMES
from qsnn.hardware.counts.count import (
    ADD,
    HISTORY,
    MULTIPLY,
    READ,
    STATES,
    WEIGHTS,
    WRITE,
    Count,
    Sizes,
    accesses,
    address,
    count,
    decay,
    plus,
    products,
    summed,
    wider,
)
from qsnn.hardware.counts.rates import LayerRates, Rates
from qsnn.hardware.learning import Learning
from qsnn.hardware.terms import Term
from qsnn.layers.activity import Layer
from qsnn.layers.convolution import SpikingConvolution
from qsnn.layers.integrating_linear import IntegratingLinear
from qsnn.models.accumulators import neuron_of
from qsnn.models.spike_counts import INPUT, RECURRENT
from qsnn.models.spiking_net import SpikingNet

PARTS = {INPUT: "weight", RECURRENT: "recurrent_weight"}


class _Layer(NamedTuple):
    """A layer with all that its formulas want; ``sums``: bits of its neurons' currents."""

    layer: Layer
    rates: LayerRates
    places: int
    neurons: int
    state_bits: dict[str, int | None]
    decays: dict[str, Any]
    sums: int | None

    @property
    def spiking(self) -> bool:
        return not isinstance(self.layer, IntegratingLinear)


def ways_of(net: SpikingNet) -> dict[str, list[str]]:
    """By layer, how spikes arrive."""
    return {name: [way for way, part in PARTS.items() if part in layer.weights()] for name, layer in net.layers.items()}


def _layers(net: SpikingNet, inputs: int, rates: Rates) -> dict[str, _Layer]:
    found = {}
    for name, layer in net.layers.items():
        parameters = layer.parameters_of_neurons if isinstance(layer, IntegratingLinear) else neuron_of(layer)
        states = {
            state: bits for state, bits in zip(STATE_NAMES, layer.state_widths(), strict=True) if bits != 0
        }  # a neuron without one has 0
        decays = {state: getattr(parameters, f"{state}_decay", None) for state in states}
        fan_in = sum(_fan_in(w.weight.shape) for w in layer.weights().values())
        sums = summed(layer.weights()["weight"].weight_bits, fan_in)
        found[name] = _Layer(layer, rates.layers[name], inputs, layer.num_neurons, states, decays, sums)
        inputs = math.prod(layer.output_shape)
    return found


def _fan_in(shape: Any) -> int:
    return int(shape[0]) if len(shape) == 2 else int(shape[1] * shape[2] * shape[3])


def inference_of_net(net: SpikingNet, inputs: int, rates: Rates, num_steps: int) -> dict[str, list[Count]]:
    """By layer, of one sample of ``num_steps``; ``inputs``: values of its input in a step."""
    return {name: [*_forward(one, num_steps)] for name, one in _layers(net, inputs, rates).items()}


def _forward(one: _Layer, num_steps: int) -> Iterator[Count]:
    yield from _synapses(one, num_steps)
    yield from _neurons(one, num_steps)


def _synapses(one: _Layer, num_steps: int) -> Iterator[Count]:
    """Each spike that arrives reads the weights of its connections, and adds them to the neurons' currents."""
    for way, part in PARTS.items():
        if way in one.rates.arrivals:
            arriving, bits = one.rates.arrivals[way], one.layer.weights()[part].weight_bits
            sizes: Sizes = {"steps": num_steps, "connections reached a step": arriving.reached}
            name = "recurrent " if way == RECURRENT else ""
            yield count(f"{name}synaptic accumulates", ADD, sizes, one.sums)
            yield count(f"{name}weights", READ, sizes, bits, WEIGHTS)
            spikes: Sizes = {"steps": num_steps, "spikes arriving a step": arriving.number}
            yield count(f"{name}spikes in", READ, spikes, address(one.places if way == INPUT else one.neurons), STATES)
    if one.rates.handed:
        spikes = {"steps": num_steps, "spikes handed on a step": one.rates.handed}
        yield count("spikes out", WRITE, spikes, address(math.prod(one.layer.output_shape)), STATES)


def _neurons(one: _Layer, num_steps: int) -> Iterator[Count]:
    """Decays, sums, comparison with the threshold, reset; each state is read and written in every step."""
    every: Sizes = {"steps": num_steps, "neurons": one.neurons}
    before: int | None = one.sums
    for state, bits in one.state_bits.items():  # the synapse takes the current, the membrane the synapse or the current
        yield from decay(f"{state} decay", every, one.decays[state], bits)
        yield count(f"{state} sum", ADD, every, wider(bits, before))
        yield from accesses(state, every, bits, STATES)
        before = bits
    if one.spiking:
        membrane = one.state_bits["membrane"]
        yield count("comparison with the threshold", ADD, every, membrane)
        yield count("reset", ADD, {"steps": num_steps, "spikes a step": one.rates.spikes}, membrane)


def training_of_net(
    net: SpikingNet, inputs: int, rates: Rates, learning: Learning, memory: dict[str, list[Term]]
) -> dict[str, list[Count]]:
    """By layer, ``input`` first, of one sample; without what is done once a batch (`qsnn.hardware.counts.learning`).

    ``memory``: the net's terms, whose history is written once and read once.
    """
    found: dict[str, list[Count]] = {"input": [*_history(memory["input"])]}
    first = next(iter(net.layers))
    for name, one in _layers(net, inputs, rates).items():
        backward = [*_errors(one, learning), *_gradients(one, learning)]
        if name != first:
            backward += _to_the_layer_before(one, learning, rates.links[f"{name}.{INPUT}"])
        found[name] = [*_forward(one, learning.num_steps), *_winners(one, learning), *_history(memory[name]), *backward]
    return found


def _history(terms: list[Term]) -> Iterator[Count]:
    """Terms of the memory that are kept of every step, in bits."""
    for term in terms:
        if term.name.startswith("history"):
            for kind in (READ, WRITE):
                yield Count(term.name, kind, float(term.bits), (1,), term.formula, HISTORY)


def _winners(one: _Layer, learning: Learning) -> Iterator[Count]:
    """The largest membrane of each window."""
    if isinstance(one.layer, SpikingConvolution) and one.layer.pooling > 1:
        sizes: Sizes = {"steps": learning.num_steps, "pooled neurons": math.prod(one.layer.output_shape)}
        sizes["(pooling^2 - 1)"] = one.layer.pooling**2 - 1
        yield count("winners of windows", ADD, sizes, one.state_bits["membrane"])


def _error_bits(one: _Layer) -> int | None:
    return one.layer.weights()["weight"].error_bits


def _errors(one: _Layer, learning: Learning) -> Iterator[Count]:
    """Back through the neurons: surrogate, decays, sums, and the search for each error's largest value; errors of the whole
    sequence are written, those of states go from step to step."""
    every: Sizes = {"steps": learning.num_steps, "neurons": one.neurons}
    bits = _error_bits(one)
    states: Sizes = {**every, "states": len(one.state_bits)}
    if one.spiking:
        yield from _surrogate(one, every, bits)
    for state in one.state_bits:
        yield from decay(f"decay of {state} errors", every, one.decays[state], bits)
    yield count("sums of errors", ADD, states, bits)
    if bits is not None:
        several: Sizes = {**every, "(states + 1)": len(one.state_bits) + 1}
        yield count("largest errors", ADD, several, bits)
    yield from accesses("errors of states", states, bits, STATES)
    yield count("errors", WRITE, every, bits, HISTORY)
    if one.rates.arrivals.get(RECURRENT):
        yield from _back_in_time(one, learning, bits)


def _surrogate(one: _Layer, every: Sizes, bits: int | None) -> Iterator[Count]:
    """On a grid a table in logic, whose entry the error is multiplied by; of floats 1 / (slope v + 1)^2, its division counted
    as a multiplication."""
    membrane = one.state_bits["membrane"]
    if membrane is None:
        yield count("surrogate", MULTIPLY, {**every, "slope, square, division": 3}, (None, None))
        yield count("surrogate", ADD, every, None)
    entry = getattr(neuron_of(one.layer), "surrogate_bits", None) or membrane
    yield count("errors through the surrogate", MULTIPLY, every, (bits, entry))


def _back_in_time(one: _Layer, learning: Learning, bits: int | None) -> Iterator[Count]:
    """Errors through recurrent weights, a step back."""
    weight_bits = one.layer.weights()["recurrent_weight"].weight_bits
    sizes: Sizes = {"(steps - 1)": learning.num_steps - 1, "neurons": one.neurons, "neurons again": one.neurons}
    yield from products("errors a step back", sizes, (bits, weight_bits), summed(plus(bits, weight_bits), one.neurons))
    yield count("recurrent weights for errors", READ, sizes, weight_bits, WEIGHTS)


def _to_the_layer_before(one: _Layer, learning: Learning, links: int) -> Iterator[Count]:
    """Every error times every weight of its connections: spikes do not gate them. An error is read once for all of its."""
    bits, weight_bits = _error_bits(one), one.layer.weights()["weight"].weight_bits
    sizes: Sizes = {"steps": learning.num_steps, "connections": links}
    total = summed(plus(bits, weight_bits), links / one.places)
    yield from products("errors of the layer before", sizes, (bits, weight_bits), total)
    yield count("weights for errors", READ, sizes, weight_bits, WEIGHTS)
    yield count(
        "errors for the layer before", READ, {"steps": learning.num_steps, "neurons": one.neurons}, bits, HISTORY
    )


def _gradients(one: _Layer, learning: Learning) -> Iterator[Count]:
    """An error is added to a weight's gradient for every spike that came by the weight."""
    bits = _error_bits(one)
    total = summed(bits, learning.num_steps * learning.batch_size)
    for way in PARTS:
        if way in one.rates.arrivals:
            sizes: Sizes = {"steps": learning.num_steps, "connections reached a step": one.rates.arrivals[way].reached}
            name = "recurrent " if way == RECURRENT else ""
            yield count(f"{name}gradient accumulates", ADD, sizes, total)
            yield count(f"errors for {name}gradients", READ, sizes, bits, HISTORY)
