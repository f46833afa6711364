"""The content of model.json and the files of its arrays as a model; every value is checked on the way."""

import math
from typing import Any

import numpy as np

from qsnn.deploy.arithmetic import Whole, highest_code
from qsnn.deploy.arrays import Array, Load
from qsnn.deploy.fields import Fields
from qsnn.deploy.model import (
    CONV,
    DECISIONS,
    DENSE,
    EVENTS,
    HALF_EVEN,
    HALF_UP,
    INTEGRATOR,
    LOCAL,
    MAX,
    MEAN,
    RASTER,
    RECURRENT,
    VOTES,
    Decision,
    Input,
    Layer,
    LocalLayer,
    LocalMembrane,
    Model,
    Readout,
    Shape,
    Source,
    SpikingLayer,
    State,
    Traces,
    Weights,
    answers,
)
from qsnn.errors import DataError

MAX_BITS, MAX_POINT, MAX_SHIFT, MAX_LAYERS, MAX_SIDE, MAX_VALUES = 32, 62, 40, 1000, 2**24, 2**26
TABLE_BITS = 16
"""A table has an entry for each code of at most so many bits."""


def from_json(content: Fields, load: Load) -> tuple[Model, dict[str, Any]]:
    """The model, and what is said of the accumulators of its layers, by name; ``load`` is asked for every array.

    Raises DataError, naming the place, for what no model has."""
    source, given = content.object("source"), content.object("input")
    origin = Source(source.text("name"), source.text("weights"), source.integer("epoch", 0), source.text("version"))
    source.end()
    inputs = _input(given)
    layers: list[Layer] = []
    stated = {}
    for fields in content.objects("layers", MAX_LAYERS):
        before = layers[-1].outputs if layers else inputs.shape
        layers.append(_layer(fields, before, load))
        stated[layers[-1].name] = fields.take("accumulators")
        fields.end()
        if [layer.name for layer in layers].count(layers[-1].name) > 1:
            raise DataError(f"{fields.where}.name is that of another layer")
    model = Model(inputs, tuple(layers), _decision(content.object("decision")), origin)
    check_decision(model, f"{content.where}.decision")
    return model, stated


def _shape(fields: Fields, name: str) -> Shape:
    found = fields.integers(name, None, 1, MAX_SIDE)
    if len(found) not in (1, 3) or math.prod(found) > MAX_VALUES:
        raise DataError(f"{fields.where}.{name} is {list(found)}, allowed are [N] and [C, H, W] of up to 2^26 places")
    return found


def _input(fields: Fields) -> Input:
    kind = fields.text("kind", (RASTER, EVENTS))
    sensor = fields.integers("sensor", 2 if kind == EVENTS else 0, 1, MAX_SIDE)
    found = Input(
        _shape(fields, "shape"), fields.truth("signed"), fields.integer("step_us", 0), fields.integer("steps", 0), sensor,
        fields.integer("mode", 0, 3), fields.integer("downsample", 1 if sensor else 0, 128),
    )  # fmt: skip
    fields.end()
    if sensor:
        maps = (1 if found.mode in (1, 2) else 2, *(-(-side // found.downsample) for side in sensor))
        if found.shape != maps or not found.step_us or found.signed != (found.mode > 1):
            raise DataError(f"{fields.where}: events of sensor {list(sensor)} do not make inputs {list(found.shape)}")
    return found


def _decision(fields: Fields) -> Decision:
    rule, burn_in = fields.text("rule", DECISIONS), fields.integer("burn_in", 0)
    classes = fields.take("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise DataError(f"{fields.where}.classes must be a list of names")
    if len(set(classes)) < len(classes):
        raise DataError(f"{fields.where}.classes has the same name twice")
    if burn_in and rule != VOTES:
        raise DataError(f"{fields.where}.burn_in is {burn_in}, only the rule {VOTES} has one: it must be 0 with {rule}")
    fields.end()
    return Decision(rule, burn_in, tuple(classes))


def check_decision(model: Model, where: str) -> None:
    """Raise DataError unless the last layer can be asked by the rule."""
    last, rule = model.layers[-1], model.decision.rule
    wanted = LOCAL if rule == VOTES else INTEGRATOR if rule in (MAX, MEAN) else None
    spikes = last.kind not in (LOCAL, INTEGRATOR)
    if (last.kind != wanted) if wanted else not spikes:
        raise DataError(f"{where}.rule is {rule}, which the last layer, {last.kind}, has no answer to")
    if isinstance(last, LocalLayer) and last.readout is None:
        raise DataError(f"{where}.rule is {rule}, and the last layer has no readout")
    outputs = answers(last)
    if (model.decision.classes and len(model.decision.classes) != outputs) or (rule == RASTER) == bool(
        model.decision.classes
    ):
        raise DataError(f"{where}.classes has {len(model.decision.classes)} names for {outputs} outputs by rule {rule}")


def _layer(fields: Fields, before: Shape, load: Load) -> Layer:
    name, kind = fields.name("name"), fields.text("kind", (DENSE, RECURRENT, CONV, INTEGRATOR, LOCAL))
    shapes = tuple(_shape(fields, part) for part in ("inputs", "neurons", "outputs"))
    if math.prod(shapes[0]) != math.prod(before) or (kind == CONV and shapes[0] != before):
        raise DataError(f"{fields.where}.inputs is {list(shapes[0])}, what comes before gives {list(before)}")
    return _local(fields, name, shapes, load) if kind == LOCAL else _spiking(fields, name, kind, shapes, load)


def _weights(fields: Fields, file: str, shape: Shape, load: Load) -> Weights:
    array = _described(fields, file, shape, True)
    point = fields.integer("point", -MAX_POINT, MAX_POINT)
    fields.end()
    return Weights(load(file, array).reshape(shape), array.bits, point)


def _described(fields: Fields, file: str, shape: Shape, signed: bool) -> Array:
    """What `_array_json` wrote, but for the end. The name of the file follows from layer and part: none else is opened."""
    found = fields.text("file")
    if found != file:
        raise DataError(f"{fields.where}.file is {found[:80]!a}, it must be {file}")
    given = fields.integers("shape", len(shape), 1, MAX_SIDE)
    if given != shape:
        raise DataError(f"{fields.where}.shape is {list(given)}, the layer's sizes make it {list(shape)}")
    return Array(shape, fields.integer("bits", 1, MAX_BITS if signed else MAX_POINT), signed)


def _maps(fields: Fields, shapes: tuple[Shape, ...], side: int, stride: int, padding: int, pooling: int) -> None:
    """Check the maps of a convolution."""
    (_, height, width), neurons, outputs = shapes
    made = tuple((n + 2 * padding - side) // stride + 1 for n in (height, width))
    if neurons[1:] != made or outputs != (neurons[0], *(n // pooling for n in made)):
        raise DataError(
            f"{fields.where}: a kernel of {side} x {side}, stride {stride}, padding {padding}, pooling {pooling} does not make "
            f"neurons {list(neurons)} and outputs {list(outputs)} of inputs {list(shapes[0])}"
        )


def _kernel_side(fields: Fields, shapes: tuple[Shape, ...], described: Any) -> int:
    """k, of a weight's own shape (O, C, k, k)."""
    shape = described.get("shape") if isinstance(described, dict) else None
    if any(len(found) != 3 for found in shapes) or not isinstance(shape, list) or len(shape) != 4:
        raise DataError(f"{fields.where}: a convolution has maps [C, H, W] and weights [O, C, k, k]")
    side = shape[3]
    if type(side) is not int or not 1 <= side <= MAX_SIDE:
        raise DataError(f"{fields.where}.weight.shape is {str(shape)[:80]}, which is no kernel's")
    return side


def _spiking(fields: Fields, name: str, kind: str, shapes: tuple[Shape, ...], load: Load) -> SpikingLayer:
    stride, padding, pooling = (
        fields.integer(part, low, 10**5) for part, low in (("stride", 1), ("padding", 0), ("pooling", 1))
    )
    described = fields.take("weight")
    inputs, neurons = math.prod(shapes[0]), math.prod(shapes[1])
    shape: Shape = (inputs, neurons)
    if kind == CONV:
        side = _kernel_side(fields, shapes, described)
        _maps(fields, shapes, side, stride, padding, pooling)
        shape = (shapes[1][0], shapes[0][0], side, side)
    elif shapes[1] != shapes[2] or len(shapes[1]) != 1 or (stride, padding, pooling) != (1, 0, 1):
        raise DataError(f"{fields.where}: a {kind} layer has neither maps nor stride, padding and pooling")
    weight = _weights(Fields(described, f"{fields.where}.weight"), f"{name}.weight.bin", shape, load)
    given, file = fields.optional("recurrent_weight"), f"{name}.recurrent_weight.bin"
    if (given is None) == (kind == RECURRENT):
        raise DataError(f"{fields.where}.recurrent_weight belongs to recurrent layers, and to them alone")
    recurrent = None if given is None else _weights(given, file, (neurons, neurons), load)
    held = fields.optional("synapse")
    synapse = None if held is None else _state(held)
    membrane, threshold = _state(fields.object("membrane")), fields.optional("threshold")
    if (threshold is None) != (kind == INTEGRATOR) or (kind == INTEGRATOR and synapse is None):
        raise DataError(f"{fields.where}: an integrator has a synapse and no threshold, other layers have one")
    end = highest_code(membrane.bits) + 1
    spike = mask = None
    if threshold is not None:
        spike, mask = threshold.integer("spike", -end, end), threshold.integer("mask", -end, end)
        threshold.end()
    fields.text("rounding", (HALF_EVEN,))
    return SpikingLayer(
        name, kind, shapes[0], shapes[1], shapes[2], weight, recurrent, stride, padding, pooling, synapse, membrane, spike, mask
    )  # fmt: skip


def _state(fields: Fields) -> State:
    found = State(
        fields.integer("bits", 1, MAX_BITS), fields.integer("point", -MAX_POINT, MAX_POINT),
        fields.integer("multiplier", 0, 2**MAX_SHIFT), fields.integer("shift", 0, MAX_SHIFT),
    )  # fmt: skip
    fields.end()
    if found.multiplier > 1 << found.shift:
        raise DataError(
            f"{fields.where}.multiplier is {found.multiplier}, a decay is at most 2^{found.shift} of 2^{found.shift}"
        )
    return found


def _local(fields: Fields, name: str, shapes: tuple[Shape, ...], load: Load) -> LocalLayer:
    padding, pooling = fields.integer("padding", 0, 10**5), fields.integer("pooling", 1, 10**5)
    described = fields.take("weight")
    side = _kernel_side(fields, shapes, described)
    _maps(fields, shapes, side, 1, padding, pooling)
    shape = (shapes[1][0], shapes[0][0], side, side)
    weight = _weights(Fields(described, f"{fields.where}.weight"), f"{name}.weight.bin", shape, load)
    bias = _codes(fields.object("bias"), f"{name}.bias.bin", (shapes[1][0],), True, load)
    membrane = _membrane(fields.object("membrane"))
    traces = _traces(fields.object("traces"), name, shapes[0], load)
    given = fields.optional("readout")
    readout = None if given is None else _readout(given, name, math.prod(shapes[2]), membrane.u_bits, load)
    fields.text("rounding", (HALF_UP,))
    return LocalLayer(name, shapes[0], shapes[1], shapes[2], weight, bias, padding, pooling, traces, membrane, readout)


def _codes(fields: Fields, file: str, shape: Shape, signed: bool, load: Load) -> Whole:
    array = _described(fields, file, shape, signed)
    fields.end()
    return load(file, array).reshape(shape)


def _traces(fields: Fields, name: str, shape: Shape, load: Load) -> Traces:
    parts = [_codes(fields.object(part), f"{name}.{part}.bin", shape, False, load) for part in ("p1", "p2", "q1", "q2")]
    rest = (
        fields.integer("shift", 0, MAX_SHIFT),
        *(fields.integer(part, 1, MAX_BITS - 1) for part in ("p_bits", "q_bits")),
    )
    fields.end()
    return Traces(parts[0], parts[1], parts[2], parts[3], rest[0], rest[1], rest[2])


def _membrane(fields: Fields) -> LocalMembrane:
    u_bits, r_bits = (fields.integer(part, 1, TABLE_BITS) for part in ("u_bits", "r_bits"))
    levels = 2**r_bits
    after = np.array(fields.integers("after", 2 * levels, 0, levels - 1), np.int64).reshape(2, levels)
    found = LocalMembrane(
        fields.integer("u1", 0, 2**53), fields.integer("u2", 8, MAX_SHIFT), fields.integer("b1", 0, 2**53),
        fields.integer("b2", 0, MAX_SHIFT), np.array(fields.integers("subtracted", levels, 0, 2**53), np.int64), after,
        u_bits, r_bits,
    )  # fmt: skip
    fields.end()
    return found


def _readout(fields: Fields, name: str, features: int, u_bits: int, load: Load) -> Readout:
    described = fields.take("weight")
    shape = described.get("shape") if isinstance(described, dict) else None
    classes = shape[0] if isinstance(shape, list) and shape and type(shape[0]) is int else 1
    weight = _weights(Fields(described, f"{fields.where}.weight"), f"{name}.readout.bin", (classes, features), load)
    z_bits, bits = fields.integer("z_bits", 1, TABLE_BITS), fields.integer("bits", 1, MAX_BITS)
    entries = fields.integers("activation", 2 * highest_code(u_bits) + 1, 0, 2**z_bits - 1)
    found = Readout(weight, fields.integer("shift", -MAX_SHIFT, MAX_POINT), np.array(entries, np.int64), z_bits, bits)
    fields.end()
    return found
