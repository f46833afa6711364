"""Header and source of a model."""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from qsnn.deploy.arithmetic import highest_code
from qsnn.deploy.artefact import checked_widths
from qsnn.deploy.c.layers import Values, layer_values
from qsnn.deploy.c.text import identifier, signed_type, text_literal
from qsnn.deploy.model import COUNT, INTEGRATOR, MAX, MEAN, RASTER, VOTES, Model, SpikingLayer, answers, size
from qsnn.errors import ConfigError

TEMPLATES = Path(__file__).parent / "templates"
RULES = {
    COUNT: "the output neuron that spiked most often", MAX: "the readout with the largest membrane over time",
    MEAN: "the readout with the largest membrane on average", VOTES: "the readout that was the largest in most steps",
}  # fmt: skip
HELPERS = ("floor32", "floor64", "rint32", "rint64", "clamp32", "clamp64")


class Program(NamedTuple):
    """``name``: what every function begins with; ``header`` and ``source``; ``layers``: what templates were filled with."""

    name: str
    header: str
    source: str
    layers: tuple[Values, ...]


@cache
def templates() -> Environment:
    """Of C: nothing is escaped, a name that is not given is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip


def program_of(model: Model) -> Program:
    """The model in C. Raises ConfigError for a net that C, or this generator, does not have."""
    _refuse(model)
    name, layers = identifier(model.source.name), [layer_values(model, n) for n in range(len(model.layers))]
    before = "input"
    for layer in layers:
        layer["from"], before = before, f"s->{layer['output']}"
    shared = _shared(model, name, layers)
    header = templates().get_template("header.h.jinja").render(**shared)
    parts = [templates().get_template(layer["template"]).render(l=layer, name=name) for layer in layers]
    source = (
        templates()
        .get_template("source.c.jinja")
        .render(**shared, layers=parts, helpers=_helpers("".join(parts)), burn_in=model.decision.burn_in)
    )
    return Program(name, tidy(header), tidy(source), tuple(layers))


def _refuse(model: Model) -> None:
    for layer in model.layers[:-1]:
        if layer.kind == INTEGRATOR:
            raise ConfigError(
                f"format=c: layer {layer.name} integrates and others follow it: an integrator can only be the last layer"
            )
    checked_widths(model)


def tidy(text: str) -> str:
    """No two empty lines, none at a brace's end, no spaces at the end of a line."""
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).replace("\n\n}", "\n}").strip("\n") + "\n"


def title(model: Model) -> str:
    """For a comment: only what can end none."""
    source = model.source
    return re.sub(r"[^A-Za-z0-9_ .,+-]", "_", f"{source.name}, {source.weights} weights after {source.epoch} epochs")


def _shared(model: Model, name: str, layers: list[Values]) -> Values:
    last, given, rule = layers[-1], model.input, model.decision.rule
    classes = 0 if rule == RASTER else answers(model.layers[-1])
    names = model.decision.classes or tuple(map(str, range(classes)))
    return {
        "name": name, "upper": name.upper(), "title": title(model), "version": _version(model), "model_layers": layers,
        "last": last, "inputs": size(given.shape), "signed": given.signed, "step_us": given.step_us, "classes": classes,
        "class_names": ",\n    ".join(map(text_literal, names)), "rule": rule, "rule_text": RULES.get(rule, ""),
        "input_order": "channel, row, column" if len(given.shape) == 3 else "in their order",
        "widths": {layer: _bits(found) for layer, found in checked_widths(model).items()},
        "output_type": _output_type(model), **_members(layers, classes, rule),
    }  # fmt: skip


def _version(model: Model) -> str:
    return re.sub(r"[^A-Za-z0-9.+]", "_", model.source.version)


def _bits(widths: dict[str, Any]) -> str:
    return ", ".join(f"{name} {width.bits}" for name, width in widths.items())


def _output_type(model: Model) -> str:
    """Spikes, or membranes of a readout."""
    last = model.layers[-1]
    wide = isinstance(last, SpikingLayer) and last.kind == INTEGRATOR
    return signed_type(highest_code(last.membrane.bits)) if wide and isinstance(last, SpikingLayer) else "int8_t"


def _members(layers: list[Values], classes: int, rule: str) -> Values:
    """Of the state: what is cleared at rest, and room for sums, which is not."""
    held = [(f"{one['name']}_{m.tensor}", m.type, m.length) for one in layers for m in one["members"]]
    held += [(f"{one['name']}_output", "int8_t", one["outputs"]) for one in layers if one["pooled"]]
    if classes:
        held.append(("votes", "int64_t" if rule == MEAN else "int32_t", classes))
    room = []
    for bits in (32, 64):
        for name, key in (("sums", "current_bits"), ("back", "recurrent_bits")):
            longest = max((one["scratch"] for one in layers if one[key] == bits), default=0)
            room += [(f"{name}{bits}", f"int{bits}_t", longest)] if longest else []
    return {"members": held + room, "cleared": [(name, count) for name, _, count in held]}


def _helpers(text: str) -> list[str]:
    """The functions that are called, and what they call, in the order in which C wants them."""
    used = {name for name in HELPERS if f"{name}(" in text}
    used |= {name.replace("rint", "floor") for name in used if name.startswith("rint")}
    macros: Any = templates().get_template("helpers.c.jinja").module
    found = [getattr(macros, name[:-2])(int(name[-2:])) for name in HELPERS if name in used]
    return [*found, macros.places()] if "first_place(" in text else found
