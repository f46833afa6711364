"""The graph of a model's step."""

import re
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper

from qsnn.deploy.artefact import checked_widths
from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.model import RASTER, LocalLayer, Model, answers, size
from qsnn.deploy.onnx_step.graph import Graph, Term
from qsnn.deploy.onnx_step.layers import Held, local_step, spiking_step, votes_after

OPSET, IR = 17, 8
AFTER = ".after"
"""What the name of a state's output ends with."""
TYPES = {"int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32, "int64": TensorProto.INT64}
BATCH = "B"


def step_of(model: Model) -> ModelProto:
    """Inputs: ``input`` (B, I), ``votes`` (B, K) and ``steps`` (1) of a net of classes, and ``<layer>.<tensor>`` (B, N) of each
    state, zeros at rest. Outputs: ``output`` and ``<state>.after``, to be given back in the next step."""
    checked_widths(model)
    graph, outputs = Graph(), []
    inputs = [_value("input", "int8", size(model.input.shape))]
    x, rest, held = graph.whole("input"), IntegerEngine(model).initial_state(), Held()
    for layer in model.layers:
        parts = {name: codes for name, codes in rest.layers[layer.name]._asdict().items() if codes.size}
        inputs += [_value(f"{layer.name}.{name}", str(codes.dtype), codes.shape[1]) for name, codes in parts.items()]
        before = {name: graph.whole(f"{layer.name}.{name}") for name in parts}
        if isinstance(layer, LocalLayer):
            held, x = local_step(graph, layer, before, x)
        else:
            held, x = spiking_step(graph, layer, before, x)
        for name, codes in parts.items():
            outputs.append(_output(graph, held[name], f"{layer.name}.{name}", codes))
    last = size(model.layers[-1].outputs)
    graph.named(x, "output", TensorProto.INT64)
    outputs.append(_value("output", "int64", last))
    if model.decision.rule != RASTER:
        _votes(graph, model, x, held, inputs, outputs)
    return _checked(helper.make_graph(graph.nodes, "step", inputs, outputs, graph.constants), model)


def _value(name: str, kind: str, count: int) -> Any:
    return helper.make_tensor_value_info(name, TYPES[kind], [BATCH, count])


def _output(graph: Graph, x: Term, name: str, codes: np.ndarray) -> Any:
    graph.named(x, name + AFTER, TYPES[str(codes.dtype)])
    return _value(name + AFTER, str(codes.dtype), codes.shape[1])


def _votes(graph: Graph, model: Model, x: Term, held: Held, inputs: list[Any], outputs: list[Any]) -> None:
    classes = answers(model.layers[-1])
    inputs += [_value("votes", "int64", classes), helper.make_tensor_value_info("steps", TensorProto.INT64, [1])]
    found = votes_after(graph, model.decision, "votes", "steps", x, held, classes)
    graph.named(found, "votes" + AFTER, TensorProto.INT64)
    graph.named(graph.node("Add", "steps", graph.number(1)), "steps" + AFTER, TensorProto.INT64)
    outputs += [
        _value("votes" + AFTER, "int64", classes),
        helper.make_tensor_value_info("steps" + AFTER, TensorProto.INT64, [1]),
    ]


def _checked(graph: Any, model: Model) -> ModelProto:
    source = model.source
    found = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="qsnn",
        producer_version=re.sub(r"[^\w.+]", "_", source.version),
    )  # fmt: skip
    entries = {
        "experiment": source.name, "weights": source.weights, "epoch": str(source.epoch),
        "classes": ", ".join(model.decision.classes), "decision": model.decision.rule,
        "step_us": str(model.input.step_us), "input_shape": "x".join(map(str, model.input.shape)),
    }  # fmt: skip
    helper.set_model_props(found, entries)
    checker.check_model(found, full_check=True)
    return found
