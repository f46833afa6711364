"""Golden vectors: what the integer engine holds after each step, for a C program that compares itself with them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.c.program import Program, _tidy, templates, title
from qsnn.deploy.c.text import values
from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.model import RASTER, Model, size

MOST_CODES, MOST_STEPS, LEAST_STEPS = 300_000, 20, 3
RATES = (1 / 2, 1 / 8)
"""Of inputs that are not 0, a sample each."""
SEED = 19


class Golden(NamedTuple):
    """``inputs`` (S, T, I) and the codes of every tensor after each step, by layer and tensor, (S, T, n); ``outputs`` (S, T, O);
    ``classes`` (S, T): the prediction after each."""

    inputs: Whole
    codes: dict[tuple[str, str], NDArray[Any]]
    outputs: Whole
    classes: Whole


def random_inputs(model: Model, steps: int, samples: int = len(RATES)) -> Whole:
    """(S, T, I): spikes, of either sign where the net takes them."""
    rng = np.random.default_rng(SEED)
    shape = (samples, steps, size(model.input.shape))
    rates = np.resize(np.array([round(rate * 256) for rate in RATES]), samples)
    fired = rng.integers(0, 256, shape) < rates[:, None, None]
    sign = rng.integers(0, 2, shape) * 2 - 1 if model.input.signed else np.ones(shape, np.int64)
    return fired * sign


def steps_for(model: Model) -> int:
    """As many as make a file of some megabytes at most."""
    state = IntegerEngine(model).initial_state()
    codes = sum(part.size for layer in state.layers.values() for part in layer) * len(RATES)
    return max(LEAST_STEPS, min(MOST_STEPS, MOST_CODES // max(1, codes)))


def golden(model: Model, inputs: Whole) -> Golden:
    """Of the engine on ``inputs`` (S, T, I)."""
    engine, codes = IntegerEngine(model), {}
    outputs, classes = [], []
    for state, output in engine.steps(inputs.swapaxes(0, 1), len(inputs)):
        for layer, parts in state.layers.items():
            for tensor, found in parts._asdict().items():
                codes.setdefault((layer, tensor), []).append(found)
        outputs.append(output)
        classes.append(engine.answer(state).classes if model.decision.rule != RASTER else np.zeros(len(inputs), np.int64))
    kept = {key: np.stack(found, 1) for key, found in codes.items() if found[0].size}
    return Golden(inputs, kept, np.stack(outputs, 1), np.stack(classes, 1))


def selftest(model: Model, program: Program, inputs: Whole | None = None) -> str:
    """The C program. ``inputs``: (S, T, I), random ones unless given."""
    found = golden(model, random_inputs(model, steps_for(model)) if inputs is None else inputs)
    types = {(l["name"], m.tensor): m.type for l in program.layers for m in l["members"]}
    tensors = [
        {"layer": layer, "tensor": tensor, "type": types[layer, tensor], "count": codes.shape[2], "content": values(codes)}
        for (layer, tensor), codes in found.codes.items()
    ]
    return _tidy(
        templates().get_template("selftest.c.jinja").render(
            name=program.name, upper=program.name.upper(), title=title(model), tensors=tensors, samples=len(found.inputs),
            steps=found.inputs.shape[1], inputs=values(found.inputs), outputs=values(found.outputs),
            classes=values(found.classes), decides=model.decision.rule != RASTER,
        )
    )  # fmt: skip
