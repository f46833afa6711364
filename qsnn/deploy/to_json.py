"""A model as the content of model.json and the files of its arrays.

model.json says everything but the arrays; each array is a file ``<layer>.<part>.bin`` of packed codes (`qsnn.deploy.packing`).
"""

from typing import Any

from qsnn.deploy.arithmetic import Whole, unsigned_bits
from qsnn.deploy.arrays import Array, Save
from qsnn.deploy.model import EVENTS, HALF_EVEN, HALF_UP, RASTER, LocalLayer, Model, SpikingLayer, Weights


def to_json(model: Model, save: Save) -> dict[str, Any]:
    """All but the versions and widths, which `qsnn.deploy.artefact` adds; ``save`` is given every array."""
    layers = [
        _local_json(layer, save) if isinstance(layer, LocalLayer) else _spiking_json(layer, save)
        for layer in model.layers
    ]
    decision, source = model.decision._asdict(), model.source._asdict()
    return {
        "source": source,
        "input": {"kind": EVENTS if model.input.sensor else RASTER, **_lists(model.input._asdict())},
        "layers": layers,
        "decision": _lists(decision),
    }


def _lists(values: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _weights_json(weight: Weights, file: str, save: Save) -> dict[str, Any]:
    save(file, Array(weight.codes.shape, weight.bits, True), weight.codes)
    return {"file": file, "shape": list(weight.codes.shape), "bits": weight.bits, "point": weight.point}


def _array_json(codes: Whole, bits: int, signed: bool, file: str, save: Save) -> dict[str, Any]:
    save(file, Array(codes.shape, bits, signed), codes)
    return {"file": file, "shape": list(codes.shape), "bits": bits}


def _spiking_json(layer: SpikingLayer, save: Save) -> dict[str, Any]:
    recurrent = layer.recurrent
    return {
        **_lists({name: getattr(layer, name) for name in ("name", "kind", "inputs", "neurons", "outputs")}),
        "stride": layer.stride, "padding": layer.padding, "pooling": layer.pooling,
        "weight": _weights_json(layer.weight, f"{layer.name}.weight.bin", save),
        "recurrent_weight": None if recurrent is None
        else _weights_json(recurrent, f"{layer.name}.recurrent_weight.bin", save),
        "synapse": None if layer.synapse is None else layer.synapse._asdict(),
        "membrane": layer.membrane._asdict(),
        "threshold": None if layer.spike is None else {"spike": layer.spike, "mask": layer.mask},
        "rounding": HALF_EVEN,
    }  # fmt: skip


def _local_json(layer: LocalLayer, save: Save) -> dict[str, Any]:
    t, m, r = layer.traces, layer.membrane, layer.readout
    multipliers = {
        part: _array_json(codes, unsigned_bits(int(codes.max())), False, f"{layer.name}.{part}.bin", save)
        for part, codes in (("p1", t.p1), ("p2", t.p2), ("q1", t.q1), ("q2", t.q2))
    }
    tables = {"subtracted": m.subtracted.tolist(), "after": m.after.ravel().tolist()}
    return {
        **_lists({name: getattr(layer, name) for name in ("name", "kind", "inputs", "neurons", "outputs")}),
        "padding": layer.padding, "pooling": layer.pooling,
        "weight": _weights_json(layer.weight, f"{layer.name}.weight.bin", save),
        "bias": _array_json(layer.bias, layer.weight.bits, True, f"{layer.name}.bias.bin", save),
        "traces": {**multipliers, "shift": t.shift, "p_bits": t.p_bits, "q_bits": t.q_bits},
        "membrane": {**m._asdict(), **tables},
        "readout": None if r is None else {
            "weight": _weights_json(r.weight, f"{layer.name}.readout.bin", save),
            "shift": r.shift, "activation": r.activation.tolist(), "z_bits": r.z_bits, "bits": r.bits,
        },
        "rounding": HALF_UP,
    }  # fmt: skip
