"""The content of training.json and its arrays as a `Recipe`; every value is checked on the way."""

import re
from typing import Any

import numpy as np

from qsnn.deploy.arithmetic import Whole, signed_bits
from qsnn.deploy.arrays import Array, Load
from qsnn.deploy.fields import Fields
from qsnn.deploy.from_json import MAX_BITS, MAX_POINT, MAX_SHIFT, TABLE_BITS
from qsnn.deploy.model import INTEGRATOR, RASTER, Layer, LocalLayer, Model, Shape, SpikingLayer, Weights, size
from qsnn.deploy.training.recipe import (
    Extent,
    LocalRule,
    Loss,
    Raster,
    Recipe,
    Softmax,
    SpikeCount,
    SpikingRule,
    Stored,
    Update,
    VanRossum,
    surrogate_places,
)
from qsnn.errors import DataError

FORMAT, VERSION = "qsnn training", 1
MAX_COUNT, MAX_HALVINGS = 10**9, 10**6
KEY = re.compile("[0-9a-f]{16}")
LOSSES = ("van_rossum", "spike_count", "cross_entropy")


def recipe_of(fields: Fields, model: Model, load: Load) -> Recipe:
    """The recipe for ``model``; ``load`` is asked for every array. Raises DataError, naming the place, for what no recipe
    has."""
    given = fields.object("extent")
    extent = Extent(*(given.integer(name, int(name != "epochs"), MAX_COUNT) for name in Extent._fields))
    given.end()
    local = isinstance(model.layers[0], LocalLayer)
    loss = _loss(fields.optional("loss"), extent, fields.where, local)
    update = _update(fields.object("update"))
    described = fields.objects("layers", len(model.layers))
    names = [entry.name("name") for entry in described]
    if names != [layer.name for layer in model.layers]:
        raise DataError(
            f"{fields.where}.layers are {names}, those of the model are {[one.name for one in model.layers]}"
        )
    rules = tuple(_rule(entry, layer, load) for entry, layer in zip(described, model.layers, strict=True))
    shapes = _shapes(model)
    stored = [_stored(entry, shapes, load) for entry in fields.objects("tensors", len(shapes))]
    if [one.name for one in stored] != list(shapes):
        raise DataError(f"{fields.where}.tensors are not those of the model, {', '.join(shapes)}")
    pattern = _pattern(fields.optional("pattern"), model, extent, load)
    if (pattern is None) == (model.decision.rule == RASTER):
        raise DataError(f"{fields.where}.pattern belongs to nets that answer with a raster, and to them alone")
    return Recipe(rules, {one.name: one for one in stored}, loss, update, extent, pattern)


def _shapes(model: Model) -> dict[str, Shape]:
    """Of every tensor that learns, by name."""
    found: dict[str, Shape] = {}
    for layer in model.layers:
        found[f"{layer.name}.weight"] = layer.weight.codes.shape
        if isinstance(layer, LocalLayer):
            found[f"{layer.name}.bias"] = layer.bias.shape
        elif layer.recurrent is not None:
            found[f"{layer.name}.recurrent_weight"] = layer.recurrent.codes.shape
    return found


def _loss(fields: Fields | None, extent: Extent, where: str, local: bool) -> Loss:
    if (fields is None) != local:
        raise DataError(f"{where}.loss belongs to nets that learn by backpropagation, and to them alone")
    if fields is None:
        return None
    kind = fields.text("kind", LOSSES)
    found: Loss
    if kind == "van_rossum":
        decay = _factor(fields, "multiplier", "shift")
        found = VanRossum(*decay, fields.integer("filter_bits", 1, MAX_BITS))
    elif kind == "spike_count":
        found = SpikeCount(*(fields.integer(name, 0, extent.steps) for name in SpikeCount._fields))
    else:
        bits = fields.integer("bits", 1, TABLE_BITS)
        table = fields.integers("table", extent.steps + 1, 0, 1 << bits)
        if table[0] != 1 << bits:
            raise DataError(f"{fields.where}.table begins with {table[0]}, not with {1 << bits}, which stands for 1")
        found = Softmax(np.array(table, np.int64), bits)
    fields.end()
    return found


def _factor(fields: Fields, name: str, shift: str) -> tuple[int, int]:
    """A multiplier and its shift, a number from 0 to below 1."""
    below = fields.integer(shift, 0, MAX_SHIFT)
    return fields.integer(name, 0, (1 << below) - 1), below


def _update(fields: Fields) -> Update:
    momentum = _factor(fields, "momentum", "momentum_shift")
    log_eta = fields.integer("log_eta", -MAX_POINT, MAX_SHIFT)
    halvings = fields.integers("halvings", None, 1)
    if list(halvings) != sorted(halvings) or len(halvings) > MAX_HALVINGS:
        raise DataError(f"{fields.where}.halvings are no batches in their order")
    fields.end()
    return Update(*momentum, log_eta, halvings)


def _rule(fields: Fields, layer: Layer, load: Load) -> SpikingRule | LocalRule:
    kind = fields.text("kind", ("local",) if isinstance(layer, LocalLayer) else ("spiking",))
    bits = fields.integer("error_bits", 1, TABLE_BITS)
    rule = _local(fields, layer, bits, load) if kind == "local" else _spiking(fields, layer, bits)
    fields.end()
    return rule


def _spiking(fields: Fields, layer: Layer, error_bits: int) -> SpikingRule:
    assert isinstance(layer, SpikingLayer)
    if layer.kind == INTEGRATOR:
        raise DataError(f"{fields.where}: a membrane readout has no rule of integers to learn by")
    bits = fields.integer("surrogate_bits", 1, MAX_BITS)
    entries = fields.integers("surrogate", surrogate_places(layer.membrane.bits), 0, 1 << bits)
    return SpikingRule(error_bits, np.array(entries, np.int64), bits, fields.truth("mask"))


def _local(fields: Fields, layer: Layer, error_bits: int, load: Load) -> LocalRule:
    assert isinstance(layer, LocalLayer)
    if layer.readout is None:
        raise DataError(f"{fields.where}: a layer that learns locally has a readout, which the model has not")
    given, shape = fields.object("feedback"), layer.readout.weight.codes.shape
    codes, width = _codes(given, f"training-{layer.name}.feedback.bin", shape, None, load)
    feedback = Weights(codes, width, given.integer("point", 0, MAX_POINT))
    given.end()
    slope = fields.integers("slope", surrogate_places(layer.membrane.u_bits), 0, 1 << TABLE_BITS)
    numbers = (fields.integer("l1", 0, 2**53), fields.integer("l2", 0, 2**53), fields.integer("dropout", 0, 2**24))
    return LocalRule(error_bits, feedback, np.array(slope, np.int64), *numbers, _key(fields))


def _key(fields: Fields) -> int:
    found = fields.text("key")
    if not KEY.fullmatch(found):
        raise DataError(f"{fields.where}.key is {found[:40]!a}, no 16 digits of a hexadecimal number")
    return int(found, 16)


def _codes(fields: Fields, file: str, shape: Shape, bits: int | None, load: Load) -> tuple[Whole, int]:
    """What `files` wrote of an array, but for the end, and its width; ``bits``: the width that it must have; 1: not signed."""
    fields.text("file", (file,))
    given = fields.integers("shape", len(shape), 1)
    found = fields.integer("bits", bits or 1, bits or MAX_BITS)
    if given != shape:
        raise DataError(f"{fields.where}.shape is {list(given)}, the model makes it {list(shape)}")
    return load(file, Array(shape, found, bits != 1)).reshape(shape), found


def _stored(fields: Fields, shapes: dict[str, Shape], load: Load) -> Stored:
    name = fields.text("name", tuple(shapes))
    point, limit = fields.integer("point", 0, MAX_BITS), fields.integer("limit", 1, 1 << MAX_BITS)
    widths: Any = [fields.integer(part, 1, MAX_BITS) for part in ("weight_bits", "gradient_bits")]
    rng_bits, key, given = fields.integer("rng_bits", 1, 32), _key(fields), fields.object("start")
    codes, _ = _codes(given, f"training-{name}.bin", shapes[name], signed_bits(-limit, limit), load)
    given.end()
    if widths[1] - 1 > point or abs(codes).max() > limit:
        raise DataError(f"{fields.where}: its start, limit, point and widths do not belong together")
    fields.end()
    return Stored(name, codes, point, limit, widths[0], widths[1], rng_bits, key)


def _pattern(fields: Fields | None, model: Model, extent: Extent, load: Load) -> Raster | None:
    if fields is None:
        return None
    found = []
    for name, width in (("input", size(model.input.shape)), ("target", size(model.layers[-1].outputs))):
        given = fields.object(name)
        found.append(_codes(given, f"training-{name}.bin", (extent.steps, width), 1, load)[0][:, None])
        given.end()
    fields.end()
    return Raster(*found)
