"""A sample presented to a layer that learns by backpropagation, with all that its way back needs. T time, B batch, flat
neurons.

The step is that of `qsnn.deploy.spiking`. Kept of every step: the membrane before it, whether the states were in range before
they were rounded, spikes, and what the next layer sees.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from qsnn.deploy.accumulate import Truths
from qsnn.deploy.arithmetic import Codes, Whole, code_type, highest_code, rounded_code
from qsnn.deploy.model import CONV, Shape, SpikingLayer, State, size
from qsnn.deploy.spiking import pooled
from qsnn.deploy.training.held import Held

Term = tuple[Whole, int]
"""Codes, and their point."""


class Pass(NamedTuple):
    """All (T, B, ...), int64 or narrower, or truth values. ``before``: membrane codes before the step; ``synapse``,
    ``membrane``: whether the state after it was in range; ``spikes`` of the neurons; ``output``, pooled."""

    x: Codes
    before: Codes
    synapse: Truths
    membrane: Truths
    spikes: Codes
    output: Codes


def forward(layer: SpikingLayer, x: Codes, held: Held) -> Pass:
    """From rest, inputs (T, B, I)."""
    steps, samples, neurons = len(x), x.shape[1], size(layer.neurons)
    drive = currents(layer, x, held)
    membrane = synapse = spikes = np.zeros((samples, neurons), np.int64)
    highest = highest_code(layer.membrane.bits)
    kind, done = code_type(-highest, highest), list[tuple[Codes, Truths, Truths, Codes, Codes]]()
    assert layer.spike is not None
    for t in range(steps):
        arriving = [(drive[t], layer.weight.point)]
        if layer.recurrent is not None:
            fed_back = held.products("recurrent", spikes, layer.recurrent.codes)
            arriving.append((fed_back, layer.recurrent.point))
        spikes = (membrane >= layer.spike).astype(np.int64)
        before, after = membrane, synapse
        synapse_in: Truths = np.zeros((samples, 0), np.bool_)
        if layer.synapse is not None:
            after, synapse_in = _next(layer.synapse, synapse, arriving, held, "raw_synapse")
            arriving = [(synapse, layer.synapse.point)]
        membrane, membrane_in = _next(layer.membrane, membrane, [*arriving, (-spikes, 0)], held, "raw_membrane")
        synapse = after
        output = pooled(layer, spikes).astype(np.int8)
        done.append((before.astype(kind), synapse_in, membrane_in, spikes.astype(np.int8), output))
    return Pass(x, *(np.array(record) for record in zip(*done, strict=True)))


def _next(state: State, codes: Whole, arriving: list[Term], held: Held, name: str) -> tuple[Whole, Truths]:
    """``clamp(rint(decay * codes + sum of what arrives))``, and where it was in range."""
    raw, point = aligned([(codes * state.multiplier, state.point + state.shift), *arriving])
    held.check(name, raw)
    inside = np.abs(raw) <= highest_code(state.bits) << (point - state.point)
    return rounded_code(raw, point - state.point, state.bits), inside


def aligned(terms: list[Term]) -> Term:
    """Their sum, on the finest of their grids."""
    point = max(point for _, point in terms)
    found = sum((codes << (point - of_it) for codes, of_it in terms[1:]), start=terms[0][0] << (point - terms[0][1]))
    return found, point


def currents(layer: SpikingLayer, x: Codes, held: Held) -> Whole:
    """h (T, B, N) of inputs (T, B, I), in steps of the weights."""
    steps, samples = x.shape[:2]
    weight = layer.weight.codes
    if layer.kind != CONV:
        return held.products("current", x.reshape(steps * samples, -1), weight).reshape(steps, samples, -1)
    flat = weight.reshape(len(weight), -1).T
    found = (held.products("current", patches_of(layer, maps, layer.inputs), flat) for maps in x)
    return np.array([maps_of(rows, samples) for rows in found])


def patches_of(layer: SpikingLayer, x: Codes, shape: Shape) -> Codes:
    """What each neuron of a map sees: inputs (B, I) to (B H' W', C k k)."""
    return patches(x.reshape(len(x), *shape), layer.weight.codes.shape[2], layer.stride, layer.padding)


def patches(maps: Codes, side: int, stride: int, padding: int) -> Codes:
    """Maps (B, C, H, W) to (B H' W', C k k)."""
    around = np.pad(maps, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    seen = sliding_window_view(around, (side, side), (2, 3))[:, :, ::stride, ::stride]
    return seen.transpose(0, 2, 3, 1, 4, 5).reshape(-1, maps.shape[1] * side * side)


def maps_of(rows: Whole, samples: int) -> Whole:
    """(B H' W', O) to (B, O H' W')."""
    return rows.reshape(samples, -1, rows.shape[1]).transpose(0, 2, 1).reshape(samples, -1)


def rows_of(maps: Codes, channels: int) -> Codes:
    """The inverse."""
    return maps.reshape(len(maps), channels, -1).transpose(0, 2, 1).reshape(-1, channels)
