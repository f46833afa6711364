"""Layers as NIR nodes.

A step here is ``syn' = Q(a syn + h)``, ``mem' = Q(b mem + syn - s)``, s = 1 where the code of mem is at least the
threshold's. NIR's neurons are ``tau_syn dI/dt = -I + w_in x``, ``tau dv/dt = -v + r I``; the forward Euler step dt that
simulators take is the same equation, without Q, for

    tau_syn = dt / (1 - a),  w_in = tau_syn / dt,  tau_mem = dt / (1 - b),  r = tau_mem / dt

v reached in such a step is the membrane of the next one here (with a synapse, whose new current norse hands on at once, of the
one after it): spikes come ``early`` steps earlier, as metadata says. There the spike is taken off before the leak, so
``reset_before_leak`` = 1/b is what leaves 1 behind it. A threshold on v, before it is rounded, is that between the raw
values that round to a spiking code and those that do not.
"""

import itertools
from typing import Any

import nir
import numpy as np

from qsnn.deploy.model import CONV, INTEGRATOR, Model, SpikingLayer, State, Weights
from qsnn.deploy.widths import Range, ranges

RASTER_STEP_US = 1000
"""Of a net whose data has no time."""
ROUNDING = "rint, half to even, to 2^-point, then clamped to +-(2^(bits-1) - 1); of 1 bit the sign, 0 upward"


def graph_of(model: Model) -> Any:
    """The NIR graph of a net that `check` lets through."""
    dt, first = step_seconds(model), model.layers[0]
    nodes: dict[str, Any] = {"input": nir.Input(np.array(first.inputs))}
    for number, layer in enumerate(model.layers):
        assert isinstance(layer, SpikingLayer)
        before = model.layers[number - 1].outputs if number else first.inputs
        if before != layer.inputs:
            nodes[f"{layer.name}_flat"] = nir.Flatten(np.array(before), 0, -1)
        nodes |= _nodes(layer, dt, ranges(layer, model.input.signed and not number))
    nodes["output"] = nir.Output(np.array(model.layers[-1].outputs))
    names = list(nodes)
    source, rule = model.source, model.decision.rule
    about = {
        "made_by": f"qsnn {source.version}", "experiment": source.name, "weights": source.weights, "epoch": source.epoch,
        "dt": dt, "decision": rule, "classes": "\n".join(model.decision.classes),
    }  # fmt: skip
    return nir.NIRGraph(nodes, list(itertools.pairwise(names)), metadata=about)


def step_seconds(model: Model) -> float:
    """dt."""
    return (model.input.step_us or RASTER_STEP_US) * 1e-6


def _nodes(layer: SpikingLayer, dt: float, found: dict[str, Range]) -> dict[str, Any]:
    name = layer.name
    nodes = {f"{name}_weight": _weight(layer), f"{name}_neurons": _neuron(layer, dt, found)}
    if layer.pooling > 1:
        window = np.array([layer.pooling] * 2)
        nodes[f"{name}_pool"] = nir.SumPool2d(window, window, np.array([0, 0]))
        # whether any neuron of the window spikes
        nodes[f"{name}_any"] = nir.Threshold(np.full(layer.outputs, 0.5))
    return nodes


def _weight(layer: SpikingLayer) -> Any:
    w = layer.weight
    values, about = _values(w), {"bits": w.bits, "point": w.point}
    if layer.kind != CONV:
        return nir.Linear(np.ascontiguousarray(values.T), metadata=about)
    return nir.Conv2d(
        layer.inputs[1:], values, layer.stride, layer.padding, 1, 1, np.zeros(len(values), np.float32), metadata=about
    )


def _values(weight: Weights) -> np.ndarray:
    return np.ldexp(weight.codes.astype(np.float32), -weight.point)


def _neuron(layer: SpikingLayer, dt: float, found: dict[str, Range]) -> Any:
    b, about = _decay(layer.membrane), _about(layer, found)
    tau, shape = dt / (1 - b), layer.neurons
    leak = {"r": np.full(shape, 1 / (1 - b)), "v_leak": np.zeros(shape)}
    spiking = {}
    if layer.kind != INTEGRATOR:
        spiking = {"v_threshold": np.full(shape, _threshold(layer, found)), "v_reset": np.zeros(shape)}
        about |= {"reset": "subtract", "reset_after_leak": 1.0, "reset_before_leak": 1 / b, "spike_code": layer.spike}
    if layer.synapse is None:
        return nir.LIF(tau=np.full(shape, tau), **leak, **spiking, metadata=about)
    a = _decay(layer.synapse)
    synapse = {"tau_syn": np.full(shape, dt / (1 - a)), "w_in": np.full(shape, 1 / (1 - a))}
    kind = nir.CubaLI if layer.kind == INTEGRATOR else nir.CubaLIF
    return kind(tau_mem=np.full(shape, tau), **synapse, **leak, **spiking, metadata=about)


def _decay(state: State) -> float:
    return float(np.ldexp(state.multiplier, -state.shift))


def _about(layer: SpikingLayer, found: dict[str, Range]) -> dict[str, Any]:
    """What NIR has no place for. ``*_exact_point``: grid of a state before it is rounded."""
    about: dict[str, Any] = {"rounding": ROUNDING, "early": 1 if layer.synapse is None else 2}
    for part, state in (("synapse", layer.synapse), ("membrane", layer.membrane)):
        if state is not None:
            values = {**state._asdict(), "exact_point": found[f"raw_{part}"].point}
            about |= {f"{part}_{name}": value for name, value in values.items()}
    return about


def _threshold(layer: SpikingLayer, found: dict[str, Range]) -> float:
    """Between the raw membranes that round to a spiking code and the others; a tie goes to the even code."""
    assert layer.spike is not None
    m, exact = layer.membrane, found["raw_membrane"].point
    half = np.ldexp(0.5, -exact)
    if m.bits == 1:
        return float(-half)
    middle = np.ldexp(layer.spike - 0.5, -m.point)
    return float(middle if exact == m.point else middle - half if layer.spike % 2 == 0 else middle + half)
