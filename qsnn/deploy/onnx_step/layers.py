"""Layers and votes as nodes: the equations of `qsnn.deploy.spiking`, `local` and `decision`."""

import numpy as np
from numpy.typing import NDArray

from qsnn.deploy.arithmetic import half_up, highest_code
from qsnn.deploy.model import (
    CONV,
    COUNT,
    INTEGRATOR,
    MAX,
    MEAN,
    VOTES,
    Decision,
    LocalLayer,
    Readout,
    SpikingLayer,
    State,
    Weights,
    size,
)
from qsnn.deploy.onnx_step.graph import Graph, Term

Held = dict[str, Term]
"""The state of a layer by tensor, (B, N) each."""


def patches(layer: SpikingLayer | LocalLayer, stride: int) -> NDArray[np.int64]:
    """Which inputs every place meets, (P, C k k); C H W stands for none."""
    channels, height, width = layer.inputs
    side, pad = layer.weight.codes.shape[3], layer.padding
    padded = np.full((channels, height + 2 * pad, width + 2 * pad), size(layer.inputs), np.int64)
    padded[:, pad : pad + height, pad : pad + width] = np.arange(size(layer.inputs)).reshape(layer.inputs)
    found = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (1, 2))[:, ::stride, ::stride]
    return found.transpose(1, 2, 0, 3, 4).reshape(size(layer.neurons[1:]), -1)


def windows(layer: SpikingLayer | LocalLayer) -> NDArray[np.int64]:
    """Which neurons every pooled place has, (outputs, window)."""
    channels, height, width = layer.outputs
    side, maps = layer.pooling, np.arange(size(layer.neurons)).reshape(layer.neurons)
    cut = maps[:, : height * side, : width * side].reshape(channels, height, side, width, side)
    return cut.transpose(0, 1, 3, 2, 4).reshape(size(layer.outputs), side * side)


def convolved(graph: Graph, x: Term, layer: SpikingLayer | LocalLayer, stride: int) -> Term:
    """(B, I) to (B, N)."""
    rows = graph.gathered(x, patches(layer, stride), f"{layer.name}.patches")
    columns = graph.array(layer.weight.codes.reshape(len(layer.weight.codes), -1).T, f"{layer.name}.weight")
    found = graph.node("Transpose", graph.node("MatMul", rows, columns), perm=[0, 2, 1])
    return graph.node("Reshape", found, graph.axes(-1, size(layer.neurons)))


def largest(graph: Graph, x: Term, layer: SpikingLayer | LocalLayer) -> Term:
    """The largest of each pooling window, (B, N) to (B, outputs)."""
    if layer.pooling == 1:
        return x
    found = graph.gathered(x, windows(layer), f"{layer.name}.windows")
    return graph.node("ReduceMax", found, axes=[2], keepdims=0)


def spiking_step(graph: Graph, layer: SpikingLayer, held: Held, x: Term) -> tuple[Held, Term]:
    """Next state and output."""
    membrane, after = held["membrane"], Held()
    drive = [(_current(graph, layer, x), layer.weight.point)]
    if layer.recurrent is not None:
        drive.append(
            (_product(graph, held["spikes"], layer.recurrent, f"{layer.name}.recurrent"), layer.recurrent.point)
        )
    arriving = drive
    if layer.synapse is not None:
        arriving = [(held["synapse"], layer.synapse.point)]
        after["synapse"] = _next(graph, layer.synapse, held["synapse"], drive)
    if layer.kind == INTEGRATOR:
        return {**after, "membrane": _next(graph, layer.membrane, membrane, arriving)}, membrane
    assert layer.spike is not None
    spikes = graph.whole(graph.node("GreaterOrEqual", membrane, graph.number(layer.spike)))
    reset = (graph.times(spikes, -1), 0)
    after |= {"membrane": _next(graph, layer.membrane, membrane, [*arriving, reset]), "spikes": spikes}
    return after, largest(graph, spikes, layer)


def _product(graph: Graph, x: Term, weight: Weights, name: str) -> Term:
    return graph.node("MatMul", x, graph.array(weight.codes, name))


def _current(graph: Graph, layer: SpikingLayer, x: Term) -> Term:
    if layer.kind == CONV:
        return convolved(graph, x, layer, layer.stride)
    return _product(graph, x, layer.weight, f"{layer.name}.weight")


def _next(graph: Graph, state: State, codes: Term, arriving: list[tuple[Term, int]]) -> Term:
    terms = [(graph.times(codes, state.multiplier), state.point + state.shift), *arriving]
    finest = max(point for _, point in terms)
    raw = graph.total([graph.times(term, 1 << (finest - point)) for term, point in terms])
    return graph.code(raw, finest - state.point, state.bits)


def local_step(graph: Graph, layer: LocalLayer, held: Held, x: Term) -> tuple[Held, Term]:
    """Next state and output."""
    m, name = layer.membrane, layer.name
    p, q = _traces(graph, layer, held, x)
    bias = np.repeat(half_up(m.b1 * layer.bias, m.b2), size(layer.neurons[1:]))[None]
    drive = graph.node("Add", convolved(graph, p, layer, 1), graph.array(bias, f"{name}.bias"))
    subtracted = graph.looked_up(graph.array(-(m.subtracted << (m.u2 - 8)), f"{name}.subtracted"), held["refractory"])
    half = 0 if m.u_bits == 1 else 1 << m.u2 >> 1
    raw = graph.total([graph.times(drive, m.u1), subtracted, graph.number(half)])
    u = graph.clamped(raw if m.u_bits == 1 else graph.floor(raw, m.u2), m.u_bits)
    spikes = graph.whole(graph.node("GreaterOrEqual", u, graph.number(0)))
    place = graph.node("Add", graph.times(spikes, m.after.shape[1]), held["refractory"])
    refractory = graph.looked_up(graph.array(m.after.ravel(), f"{name}.after"), place)
    after = {"p": p, "q": q, "refractory": refractory, "membrane": u, "spikes": spikes}
    most = largest(graph, u, layer)
    if layer.readout is not None:
        after["readout"] = _readout(graph, layer.readout, most, m.u_bits, name)
    return after, graph.whole(graph.node("GreaterOrEqual", most, graph.number(0)))


def _traces(graph: Graph, layer: LocalLayer, held: Held, x: Term) -> tuple[Term, Term]:
    t = layer.traces

    def after(decay: str, old: Term, gain: str, arriving: Term, bits: int) -> Term:
        parts = [
            graph.node("Mul", graph.array(getattr(t, table).reshape(1, -1), f"{layer.name}.{table}"), codes)
            for table, codes in ((decay, old), (gain, arriving))
        ]
        raw = graph.total([*parts, graph.number(1 << t.shift >> 1)])
        return graph.within(graph.floor(raw, t.shift), 0, 2**bits - 1)

    return (
        after("p1", held["p"], "p2", held["q"], t.p_bits),
        after("q1", held["q"], "q2", x, t.q_bits),
    )


def _readout(graph: Graph, readout: Readout, most: Term, u_bits: int, name: str) -> Term:
    place = graph.node("Add", most, graph.number(highest_code(u_bits)))
    z = graph.looked_up(graph.array(readout.activation, f"{name}.activation"), place)
    found = graph.node("MatMul", z, graph.array(readout.weight.codes.T, f"{name}.readout_weight"))
    return graph.code(found, readout.shift, readout.bits)


def votes_after(
    graph: Graph, decision: Decision, votes: Term, steps: Term, output: Term, held: Held, classes: int
) -> Term:
    """``votes`` (B, K) after a step; ``steps`` (1): how many there were."""
    if decision.rule in (COUNT, MEAN):
        return graph.node("Add", votes, output)
    if decision.rule == MAX:
        first = graph.node("Equal", steps, graph.number(0))
        return graph.node("Where", first, output, graph.node("Max", votes, output))
    assert decision.rule == VOTES
    # the classes that are the largest, and of these the first
    most = graph.node("ReduceMax", held["readout"], axes=[1], keepdims=1)
    equal = graph.whole(graph.node("Equal", held["readout"], most))
    ranks = graph.node("Mul", equal, graph.array(np.arange(classes, 0, -1)[None], "ranks"))
    first = graph.node("ReduceMax", ranks, axes=[1], keepdims=1)
    chosen = graph.node("And", graph.node("Equal", ranks, first), graph.node("Greater", ranks, graph.number(0)))
    counted = graph.node("GreaterOrEqual", steps, graph.number(decision.burn_in))
    return graph.node("Add", votes, graph.node("Mul", graph.whole(chosen), graph.whole(counted)))
