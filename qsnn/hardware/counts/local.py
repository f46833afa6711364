"""Operations and accesses of nets that learn locally: docs/cost.md has every formula.

All are of one sample: T steps, of which a layer votes and learns in those after burn-in; I places in its input, N neurons, F of
them after pooling, K classes. Its synapses multiply traces, not spikes: a trace of 0 is skipped, as silence is elsewhere.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from qsnn.hardware.counts.count import (
    ADD,
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
    plus,
    products,
    summed,
)
from qsnn.hardware.counts.learning import update_of
from qsnn.hardware.counts.rates import LayerRates, Rates
from qsnn.hardware.learning import Learning, Trained
from qsnn.hardware.local import grid_of
from qsnn.layers.local_layer import LocalLayer
from qsnn.models.local_net import LocalNet
from qsnn.models.spike_counts import INPUT, TRACE, VOTING_TRACE

WAYS = [INPUT, TRACE, VOTING_TRACE]


class _Layer(NamedTuple):
    """``sums``: bits of the convolution's sums."""

    layer: LocalLayer
    rates: LayerRates
    places: int
    neurons: int
    features: int
    classes: int
    sums: int | None

    @property
    def widths(self) -> tuple[int | None, int | None]:
        """Of membrane trace and weights."""
        return self.layer.settings.membrane_trace_bits, self.layer.settings.weight_bits


def _layers(net: LocalNet, rates: Rates) -> dict[str, _Layer]:
    found = {}
    for name, layer in net.layers.items():
        s, (classes, features) = layer.settings, layer.readout_weight.shape
        sums = summed(plus(s.membrane_trace_bits, s.weight_bits), layer.weight[0].numel())
        places, neurons = layer.tau_mem.numel(), math.prod(layer.output_shape())
        found[name] = _Layer(layer, rates.layers[name], places, neurons, features, classes, sums)
    return found


def inference_of_local_net(net: LocalNet, rates: Rates, num_steps: int, burn_in: int) -> dict[str, list[Count]]:
    """By layer, of one sample of ``num_steps``; the last layer alone answers."""
    last = list(net.layers)[-1]
    return {
        name: [*_forward(one, num_steps), *(_readout(one, num_steps - burn_in) if name == last else ())]
        for name, one in _layers(net, rates).items()
    }


def _forward(one: _Layer, num_steps: int) -> Iterator[Count]:
    yield from _traces(one, num_steps)
    yield from _synapses(one, num_steps)
    yield from _neurons(one, num_steps)


def _traces(one: _Layer, num_steps: int) -> Iterator[Count]:
    """P = alpha P + a Q, Q = beta Q + b x; x is a spike, so that b is added where one arrives."""
    s, arriving = one.layer.settings, one.rates.arrivals[INPUT].number
    every: Sizes = {"steps": num_steps, "inputs": one.places}
    spikes: Sizes = {"steps": num_steps, "spikes arriving a step": arriving}
    traces = {"membrane": (s.membrane_trace_bits, 2), "synapse": (s.synapse_trace_bits, 1)}
    for name, (bits, factors) in traces.items():
        factor_bits = bits if s.decay_bits is None or bits is None else s.decay_bits
        yield count(f"{name} trace", MULTIPLY, {**every, "factors": factors}, (bits, factor_bits))
        yield count(f"{name} trace", ADD, every if name == "membrane" else spikes, bits)
        yield from accesses(f"{name} trace", every, bits, STATES)
    yield count("spikes in", READ, spikes, address(one.places), STATES)


def _synapses(one: _Layer, num_steps: int) -> Iterator[Count]:
    sizes: Sizes = {"steps": num_steps, "connections of traces a step": one.rates.arrivals[TRACE].reached}
    weight_bits = one.layer.settings.weight_bits
    yield from products("synaptic products", sizes, one.widths, one.sums)
    yield count("weights", READ, sizes, weight_bits, WEIGHTS)
    yield count("biases", ADD, {"steps": num_steps, "neurons": one.neurons}, one.sums)
    yield count("biases", READ, {"steps": num_steps, "outputs": one.layer.bias.numel()}, weight_bits, WEIGHTS)


def _neurons(one: _Layer, num_steps: int) -> Iterator[Count]:
    """U = Q(drive / scale - gamma R), R + S, and the largest U of each window."""
    s = one.layer.settings.refractory
    every: Sizes = {"steps": num_steps, "neurons": one.neurons}
    yield count("refractory decay", MULTIPLY, every, (s.refractory_bits, s.refractory_bits))
    yield count("sum to membrane", MULTIPLY, every, (one.sums, s.membrane_bits))
    yield count("membrane", ADD, every, one.sums)
    yield count("reset", ADD, {"steps": num_steps, "spikes a step": one.rates.spikes}, s.refractory_bits)
    yield from accesses("refractory state", every, s.refractory_bits, STATES)
    yield from accesses("membrane", every, s.membrane_bits, STATES)
    if s.pooling > 1:
        windows: Sizes = {"steps": num_steps, "features": one.features, "(pooling^2 - 1)": s.pooling**2 - 1}
        yield count("winners of windows", ADD, windows, s.membrane_bits)
    spikes: Sizes = {"steps": num_steps, "spikes handed on a step": one.rates.handed}
    yield count("spikes out", WRITE, spikes, address(one.features), STATES)


def _readout(one: _Layer, num_steps: int) -> Iterator[Count]:
    """Every feature, a sigmoid from a table in logic, times its weight for each class; and the largest of the classes."""
    s = one.layer.settings
    sizes: Sizes = {"steps after burn-in": num_steps, "classes": one.classes, "features": one.features}
    yield from products("readout", sizes, (s.sigmoid_bits, s.readout_weight_bits), _readout_sums(one))
    yield count("readout", READ, sizes, s.readout_weight_bits, WEIGHTS)
    answers: Sizes = {"steps after burn-in": num_steps, "classes": one.classes}
    yield from accesses("readout activation", answers, s.readout_bits, STATES)
    yield count("votes", ADD, answers, s.readout_bits)


def _readout_sums(one: _Layer) -> int | None:
    s = one.layer.settings
    return summed(plus(s.sigmoid_bits, s.readout_weight_bits), one.features)


def training_of_local_net(net: LocalNet, rates: Rates, learning: Learning, burn_in: int) -> dict[str, list[Count]]:
    """By layer, of one sample; without the updates."""
    steps = learning.num_steps - burn_in
    return {
        name: [*_forward(one, learning.num_steps), *_readout(one, steps), *_errors(one, steps), *_gradients(one, steps)]
        for name, one in _layers(net, rates).items()
    }


def _errors(one: _Layer, steps: int) -> Iterator[Count]:
    """e_r = Q(m (r - y)), back through the feedback, times z' (1 - z'), with the regularisers; the search for the largest of
    both errors; sigmoid outputs and errors are written and read."""
    s = one.layer.settings
    answers: Sizes = {"steps after burn-in": steps, "classes": one.classes}
    features: Sizes = {"steps after burn-in": steps, "features": one.features}
    yield count("errors of the readout", ADD, {**answers, "difference and largest": 2}, s.error_bits)
    feedback: Sizes = {**answers, "features": one.features}
    total = summed(plus(s.error_bits, s.readout_weight_bits), one.classes)
    yield from products("feedback", feedback, (s.error_bits, s.readout_weight_bits), total)
    yield count("feedback", READ, feedback, s.readout_weight_bits, WEIGHTS)
    yield count("errors through the sigmoid", MULTIPLY, {**features, "z', 1 - z'": 2}, (s.error_bits, s.sigmoid_bits))
    terms = 1 + bool(s.l1) + bool(s.l2)
    yield count("errors through the sigmoid", ADD, {**features, "1 - z' and regularisers": terms}, s.error_bits)
    yield count("largest errors", ADD, {**features, "both errors": 2}, s.error_bits)
    yield from accesses("sigmoid outputs", features, s.sigmoid_bits, STATES)
    both: Sizes = {"steps after burn-in": steps, "(classes + features)": one.classes + one.features}
    yield from accesses("errors", both, s.error_bits, STATES)


def _gradients(one: _Layer, steps: int) -> Iterator[Count]:
    """The error of a window's winner times the traces of its connections that are not 0: in the mean F of N neurons are
    winners. What the second regulariser adds everywhere multiplies sums of traces, once for all O outputs."""
    s, reached = one.layer.settings, one.rates.arrivals[VOTING_TRACE].reached
    sizes: Sizes = {
        "steps after burn-in": steps, "connections of traces a step": reached, "features / neurons": one.features / one.neurons,
    }  # fmt: skip
    bits = s.membrane_trace_bits
    total = summed(plus(s.error_bits, bits), one.features)
    yield from products("gradient products", sizes, (s.error_bits, bits), total)
    yield count("traces for gradients", READ, sizes, bits, STATES)
    yield count("gradients of biases", ADD, {"steps after burn-in": steps, "features": one.features}, total)
    if s.l2:
        outputs = {"steps after burn-in": float(steps), "connections of traces a step": reached}
        outputs["1 / outputs"] = 1 / len(one.layer.weight)
        yield count("traces everywhere", ADD, outputs, summed(bits, one.features))


def updates_of_local_net(net: LocalNet, rates: Rates, learning: Learning, burn_in: int) -> dict[str, list[Count]]:
    """By layer, of a batch: an update in every step after burn-in."""
    steps, found = learning.num_steps - burn_in, {}
    for name, one in _layers(net, rates).items():
        s = one.layer.settings
        total = summed(plus(s.error_bits, s.membrane_trace_bits), one.features * learning.batch_size)
        parts = (("weights", one.layer.weight.numel()), ("biases", one.layer.bias.numel()))
        trained = [Trained(part, number, s.weight_bits, grid_of(one.layer)) for part, number in parts]
        updates = [done for tensor in trained for done in update_of(name, tensor, learning, total)]
        found[name] = [done.times(steps, "steps after burn-in") for done in updates]
    return found
