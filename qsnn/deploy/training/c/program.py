"""The files of a net that learns in C."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qsnn.deploy.c.program import tidy, title
from qsnn.deploy.c.text import identifier, unsigned_type, values
from qsnn.deploy.folder import check_vacant, write_folder
from qsnn.deploy.model import LocalLayer, Model, answers, size
from qsnn.deploy.training.c.digests import digest
from qsnn.deploy.training.c.layers import Values, layer_values, tensor_values
from qsnn.deploy.training.c.local import local_values
from qsnn.deploy.training.recipe import LocalRule, Recipe, Softmax, SpikeCount, SpikingRule, VanRossum
from qsnn.deploy.training.trainer import IntegerTrainer
from qsnn.errors import ConfigError

MARK = "qsnn_learning.txt"
"""A file that only such a folder has: it may be replaced."""
UPDATES, DRAWN, SEED = 3, 2, 23
"""Of the check: batches, samples of each, and what they are drawn with."""
MOST_SAMPLES, MOST_CLASSES = 255, 127
KINDS = {VanRossum: "van_rossum", SpikeCount: "spike_count", Softmax: "cross_entropy"}


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip


def files_of(model: Model, recipe: Recipe) -> dict[str, bytes]:
    """Name and content of every file. Raises ConfigError for a net that this generator does not have."""
    _refuse(model, recipe)
    trainer = IntegerTrainer(model, recipe)
    shared = _shared(trainer)
    for layer in shared["layers"]:
        layer["text"] = _render("local.c.jinja" if shared["local"] else "layer.c.jinja", shared, l=layer)
    shared["loss"] = "" if shared["local"] else _loss(recipe, shared)
    name = shared["name"]
    files = {
        f"{name}_learning.h": _render("learning.h.jinja", shared),
        f"{name}_learning.c": _render("learning.c.jinja", shared),
        "learn.c": _render("learn.c.jinja", shared), "selftest.c": _selftest(trainer, shared), MARK: _how(name, recipe),
    }  # fmt: skip
    return {file: content.encode() for file, content in files.items()}


def write_learning(model: Model, recipe: Recipe, out: Path, overwrite: bool = False) -> None:
    """Make the folder ``out``, at once. Raises ConfigError and OSError."""
    check_vacant(out, overwrite, MARK)
    write_folder(files_of(model, recipe), out, overwrite, MARK)


def _refuse(model: Model, recipe: Recipe) -> None:
    if recipe.extent.samples > MOST_SAMPLES or (answers(model.layers[-1]) > MOST_CLASSES and recipe.pattern is None):
        raise ConfigError(
            f"format=c training=true has batches of up to {MOST_SAMPLES} samples and {MOST_CLASSES} classes"
        )


def _render(template: str, shared: Values, **more: Any) -> str:
    return tidy(_templates().get_template(template).render(**{**shared, **more}))


def _shared(trainer: IntegerTrainer) -> Values:
    model, recipe, name = trainer.model, trainer.recipe, identifier(trainer.model.source.name)
    layers, extent = _layers(trainer), recipe.extent
    widest = max(answers(model.layers[-1]), *(layer["neurons"] for layer in layers))
    raster = isinstance(recipe.loss, VanRossum)
    tensors = [tensor for layer in layers for tensor in layer["tensors"]]
    return {
        "name": name, "upper": name.upper(), "title": title(model), "version": model.source.version, "layers": layers,
        "tensors": tensors, "rounds": any(tensor["exact"] for tensor in tensors), "steps": extent.steps,
        "samples": extent.samples, "inputs": size(model.input.shape), "outputs": answers(model.layers[-1]),
        "signed": model.input.signed, "raster": raster, "momentum": recipe.update.momentum,
        "momentum_shift": recipe.update.momentum_shift, "log_eta": recipe.update.log_eta,
        "halvings": list(recipe.update.halvings), "widest": widest, "most": widest * extent.samples,
        "widths": {layer: ", ".join(f"{part} {bits}" for part, bits in found.items()) for layer, found in
        trainer.widths.items()}, "local": isinstance(model.layers[0], LocalLayer), "burn_in": model.decision.burn_in,
        "pattern": None if recipe.pattern is None else [values(part) for part in recipe.pattern],
    }  # fmt: skip


def _layers(trainer: IntegerTrainer) -> list[Values]:
    model, recipe, layers, before = trainer.model, trainer.recipe, list[Values](), "x"
    points = _points(model, recipe)
    for layer, rule in zip(model.layers, recipe.rules, strict=True):
        bits = trainer.widths[layer.name]
        if isinstance(layer, LocalLayer):
            assert isinstance(rule, LocalRule)
            found = local_values(layer, rule, recipe, bits)
        else:
            assert isinstance(rule, SpikingRule)
            found = layer_values(layer, rule, recipe, bits, points[layer.name])
            if layers:
                found |= {"below": layers[-1]["name"], "below_word": layers[-1]["grad_word"]}
        stored = [one for key, one in recipe.stored.items() if key.partition(".")[0] == layer.name]
        found |= {"from": before, "tensors": [tensor_values(layer, one, bits) for one in stored]}
        before = f"h->{layer.name}_output"
        layers.append(found)
    return layers


def _points(model: Model, recipe: Recipe) -> dict[str, int]:
    """Of the gradient at the outputs of each layer."""
    found, point = dict[str, int](), 0  # counts and filtered spikes are whole
    for layer, rule in reversed(list(zip(model.layers, recipe.rules, strict=True))):
        found[layer.name], point = point, rule.error_bits - 1 + layer.weight.point
    return found


def _loss(recipe: Recipe, shared: Values) -> str:
    assert recipe.loss is not None
    more: Values = {"kind": KINDS[type(recipe.loss)], "loss": recipe.loss}
    if isinstance(recipe.loss, Softmax):
        more |= {"table": values(recipe.loss.table), "table_type": unsigned_type(int(recipe.loss.table.max()))}
    return _render("loss.c.jinja", shared, **more)


def _selftest(trainer: IntegerTrainer, shared: Values) -> str:
    """The trainer's digests of updates by the pattern, or by random batches."""
    recipe, rng, drawn = trainer.recipe, np.random.default_rng(SEED), min(DRAWN, trainer.recipe.extent.samples)
    shape = (UPDATES, recipe.extent.steps, drawn, shared["inputs"])
    x = (rng.integers(0, 4, shape) == 0) * (rng.integers(0, 2, shape) * 2 - 1 if shared["signed"] else 1)
    labels = rng.integers(0, shared["outputs"], (UPDATES, drawn))
    state, digests = trainer.initial_state(), list[str]()
    for update in range(UPDATES):
        batch = (x[update], labels[update]) if recipe.pattern is None else recipe.pattern
        state, _ = trainer.learn(state, *batch)
        digests += [f"UINT64_C(0x{digest(tensor.codes):016x})" for tensor in state.tensors.values()]
    return _render(
        "selftest.c.jinja", shared, updates=UPDATES, drawn=drawn, digests=",\n    ".join(digests), labels=values(labels),
        inputs=values(x),
    )  # fmt: skip


def _how(name: str, recipe: Recipe) -> str:
    flags, feed = "cc -std=c99 -O3 -Wall -Wextra", "UPDATES CODES" if recipe.pattern is not None else "CODES < BATCHES"
    return (
        f"{flags} {name}_learning.c selftest.c -o selftest && ./selftest\n"
        f"{flags} {name}_learning.c learn.c -o learn && ./learn {feed}\n"
    )
