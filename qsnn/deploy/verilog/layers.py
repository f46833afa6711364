"""What a layer is to `lif_layer.v`, and what it is checked with."""

from typing import Any, NamedTuple

import numpy as np

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.golden import Golden
from qsnn.deploy.model import CONV, INTEGRATOR, Model, SpikingLayer, State, size
from qsnn.deploy.spiking import pooled
from qsnn.deploy.verilog.memory import codes, named, vectors
from qsnn.deploy.widths import Range, Ranges, ranges


class Bench(NamedTuple):
    """``parameters`` of the module; ``files`` by name; ``signed``: whether inputs have signs."""

    name: str
    parameters: dict[str, int]
    files: dict[str, str]
    signed: bool
    synapse: bool
    spikes: bool


def constants(layer: SpikingLayer, found: Ranges) -> dict[str, int]:
    """In the order in which the module has them: factors that take each term to the finest grid of its sum, and roundings."""
    current, back = found["current"], found.get("recurrent", Range(0, 0))
    raw_membrane = found["raw_membrane"]
    raw_first = found.get("raw_synapse", raw_membrane)
    held, m = layer.synapse, layer.membrane
    return {
        "synapse_factor": 0 if held is None else held.multiplier << (raw_first.point - held.point - held.shift),
        "current_factor": _factor(current, raw_first),
        "recurrent_factor": _factor(back, raw_first),
        "synapse_shift": 0 if held is None else _shift(held, raw_first),
        "membrane_factor": m.multiplier << (raw_membrane.point - m.point - m.shift),
        "arriving_factor": 1 if held is None else 1 << (raw_membrane.point - held.point),
        "reset": 0 if layer.kind == INTEGRATOR else 1 << raw_membrane.point,
        "membrane_shift": _shift(m, raw_membrane),
        "threshold": layer.spike or 0,
    }


def _factor(term: Range, raw: Range) -> int:
    """Of a sum that is 0 whatever comes it might fit nothing."""
    return 1 << (raw.point - term.point) if term.low or term.high else 0


def _shift(state: State, raw: Range) -> int:
    """One that is longer than the sum leaves 0, as does one of its length."""
    return min(raw.point - state.point, raw.bits)


def bench_of(model: Model, number: int, golden: Golden) -> Bench:
    """Of any layer that learned by backpropagation."""
    layer, signed = model.layers[number], model.input.signed and number == 0
    assert isinstance(layer, SpikingLayer)
    found = ranges(layer, signed)
    raw = max(part.bits for name, part in found.items() if name.startswith("raw"))
    parameters = {
        "INPUTS": size(layer.inputs), "NEURONS": size(layer.neurons), "WEIGHT_BITS": layer.weight.bits,
        "RECURRENT": int(layer.recurrent is not None),
        "RECURRENT_BITS": 1 if layer.recurrent is None else layer.recurrent.bits,
        "SYNAPSE": int(layer.synapse is not None), "SYNAPSE_BITS": 1 if layer.synapse is None else layer.synapse.bits,
        "MEMBRANE_BITS": layer.membrane.bits, "SPIKES": int(layer.kind != INTEGRATOR),
        **_places(layer), "CURRENT_BITS": found["current"].bits, "BACK_BITS": found["recurrent"].bits if layer.recurrent else 1,
        "RAW_BITS": raw + 2,
    }  # fmt: skip
    files = _vectors(layer, inputs_of(model, number, golden), golden, signed)
    return Bench(layer.name, parameters, files, signed, layer.synapse is not None, layer.kind != INTEGRATOR)


def _places(layer: SpikingLayer) -> dict[str, int]:
    """Of a convolution."""
    if layer.kind != CONV:
        return {}
    (channels, height, width), (_, rows, columns) = layer.inputs, layer.neurons
    return {
        "KERNEL": layer.weight.codes.shape[3], "STRIDE": layer.stride, "PADDING": layer.padding, "CHANNELS": channels,
        "HEIGHT": height, "WIDTH": width, "ROWS": rows, "COLUMNS": columns,
    }  # fmt: skip


def looked_at(layer: SpikingLayer) -> int:
    """Weights of all neurons, in a step."""
    weights = layer.weight.codes.size // layer.weight.codes.shape[0 if layer.kind == CONV else 1]
    return size(layer.neurons) * (weights + (0 if layer.recurrent is None else size(layer.neurons)))


def memories(layer: SpikingLayer, signed: bool) -> dict[str, str]:
    """Weights, those of the layer's own spikes, constants."""
    files = {f"{layer.name}_weight.mem": codes(layer.weight.codes, layer.weight.bits)}
    if layer.recurrent is not None:
        files[f"{layer.name}_recurrent.mem"] = codes(layer.recurrent.codes, layer.recurrent.bits)
    files[f"{layer.name}_constants.mem"] = named(constants(layer, ranges(layer, signed)))
    return files


def inputs_of(model: Model, number: int, golden: Golden) -> Whole:
    """What the layer is given in each step, (S T, I)."""
    if number == 0:
        return _rows(golden.inputs)
    before = model.layers[number - 1]
    assert isinstance(before, SpikingLayer)
    return pooled(before, _rows(golden.codes[before.name, "spikes"].astype(np.int64)))


def _rows(array: Any) -> Any:
    return array.reshape(-1, array.shape[2])


def _vectors(layer: SpikingLayer, inputs: Whole, golden: Golden, signed: bool) -> dict[str, str]:
    name, states = layer.name, {"synapse": layer.synapse, "membrane": layer.membrane}
    files = {f"{name}_golden_input.mem": vectors(inputs)}
    if signed:
        files[f"{name}_golden_negative.mem"] = vectors((inputs < 0).astype(np.int64))
    for part, state in states.items():
        if state is not None:
            # of one bit a state is -1 or 1, and 0 at rest: two bits in memory
            files[f"{name}_golden_{part}.mem"] = codes(_rows(golden.codes[name, part]), max(2, state.bits))
    if layer.kind != INTEGRATOR:
        files[f"{name}_golden_spikes.mem"] = vectors(_rows(golden.codes[name, "spikes"]))
    return files
