"""What arrives at a layer in a step, in the mean over samples and steps: measured by a run, or assumed.

A measured rate is a count over all samples and steps of an evaluation, divided by both; an assumed one is the same everywhere,
and traces of local learning are then other than 0 as follows from it (`qsnn.hardware.counts.traces`).
"""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qsnn.hardware.counts.traces import trace_shares
from qsnn.models.connections import fan_outs, num_weights
from qsnn.models.spike_counts import INPUT, OUTPUT, RECURRENT, TRACE, VOTING_TRACE, SpikeCounts

RUN, UNTRAINED, ASSUMED = "run", "untrained", "assumed"


class Arrivals(NamedTuple):
    """By one way, a sample and step: ``number`` that arrive, ``reached``, the connections that they meet, and ``live``, those
    of weights other than 0 among these."""

    number: float
    reached: float
    live: float


class LayerRates(NamedTuple):
    """A sample and step: what arrives by each way (`qsnn.models.spike_counts`), how many ``spikes`` the layer has, before
    pooling, and how many it hands on."""

    arrivals: dict[str, Arrivals]
    spikes: float
    handed: float


class Rates(NamedTuple):
    """``layers`` by name, ``num_steps`` of a sample in inference, ``measured``: one of run, untrained, assumed; ``links`` by
    ``<layer>.<way>``: all connections; ``weights``: how many weights, how many of them 0."""

    layers: dict[str, LayerRates]
    num_steps: int
    measured: str
    links: dict[str, int]
    weights: dict[str, tuple[int, int]]


def rates_of(net: Any, inputs: tuple[int, ...], counts: SpikeCounts, burn_in: int, measured: str = RUN) -> Rates:
    """Measured ones. ``burn_in``: steps in which a layer that learns locally neither learns nor votes."""
    reach, steps = fan_outs(net, inputs), {VOTING_TRACE: max(1, counts.num_steps - burn_in)}
    layers: dict[str, LayerRates] = {}
    for name in net.layers:
        found = {}
        for place, arrived in counts.arrived.items():
            layer, way = place.rsplit(".", 1)
            if layer == name and way != OUTPUT:
                every = counts.samples * steps.get(way, counts.num_steps)
                fan_out = reach[f"{name}.{RECURRENT if way == RECURRENT else INPUT}"]
                found[way] = Arrivals(
                    float(arrived.sum()) / every, float(arrived @ fan_out) / every, counts.live[place] / every
                )
        spikes = counts.spikes.get(name, 0) / (counts.samples * counts.num_steps)
        layers[name] = LayerRates(found, spikes, spikes)
    last = list(layers)[-1]
    pooled = counts.arrived.get(f"{last}.{OUTPUT}")
    handed = layers[last].spikes if pooled is None else float(pooled.sum()) / (counts.samples * counts.num_steps)
    return Rates(_handed(layers, handed), counts.num_steps, measured, _links(reach), counts.weights)


def _links(reach: dict[str, Tensor]) -> dict[str, int]:
    return {way: round(float(fan_out.sum())) for way, fan_out in reach.items()}


def _handed(layers: dict[str, LayerRates], last: float) -> dict[str, LayerRates]:
    """What a layer hands on is what arrives at the next one; ``last``: what the last one does, after pooling."""
    after = dict(pairwise(layers))
    return {
        name: layer._replace(handed=layers[after[name]].arrivals[INPUT].number if name in after else last)
        for name, layer in layers.items()
    }


def assumed_rates(
    net: Any, inputs: tuple[int, ...], rate: float, num_steps: int, ways: dict[str, list[str]], burn_in: int = 0
) -> Rates:
    """Every place, pooled or not, and neuron spikes with ``rate`` in a step. ``ways``: those of each layer."""
    reach, live = fan_outs(net, inputs), fan_outs(net, inputs, live=True)
    layers = {}
    for name, layer in net.layers.items():
        found = {}
        for way in ways[name]:
            place = f"{name}.{RECURRENT if way == RECURRENT else INPUT}"
            shares = _shares(layer, way, rate, num_steps, burn_in).expand(len(reach[place]))
            found[way] = Arrivals(float(shares.sum()), float(shares @ reach[place]), float(shares @ live[place]))
        spikes = rate * neurons_of(layer) if ways[name] and spikes_at_all(layer) else 0.0
        layers[name] = LayerRates(found, spikes, spikes)
    handed = rate * outputs_of(layer) if layers[name].spikes else 0.0
    return Rates(_handed(layers, handed), num_steps, ASSUMED, _links(reach), num_weights(net))


def _shares(layer: Any, way: str, rate: float, num_steps: int, burn_in: int) -> Tensor:
    """Of steps in which something arrives by a way, at each place (I), or everywhere the same (1)."""
    if way in (TRACE, VOTING_TRACE):
        return trace_shares(layer, rate, num_steps, burn_in)[way == VOTING_TRACE]
    return torch.tensor([rate * (1 - 1 / num_steps if way == RECURRENT else 1)], dtype=torch.float64)


def outputs_of(layer: Any) -> int:
    """How many places a layer hands spikes on from, after pooling."""
    return math.prod(layer.pooled_shape() if hasattr(layer, "pooled_shape") else layer.output_shape)


def neurons_of(layer: Any) -> int:
    """N, before pooling."""
    if hasattr(layer, "num_neurons"):
        return int(layer.num_neurons)
    channels, height, width = layer.output_shape()
    return int(channels * height * width)


def spikes_at_all(layer: Any) -> bool:
    """Not a membrane readout."""
    return not hasattr(layer, "parameters_of_neurons")
