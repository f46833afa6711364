"""Small models for the tests of `qsnn.deploy`, and artefacts that were changed by somebody who knows the format."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qsnn.deploy.folder import MODEL, SUMS
from qsnn.deploy.model import (
    COUNT,
    DENSE,
    RASTER,
    VOTES,
    Decision,
    Input,
    LocalLayer,
    LocalMembrane,
    Model,
    Readout,
    Source,
    SpikingLayer,
    State,
    Traces,
    Weights,
)

SOURCE = Source("small", "last", 3, "0.2.0")


def dense(name: str, weight: list[list[int]], bits: int = 4) -> SpikingLayer:
    """A layer of neurons with 8-bit states, dyadic decays 3/4 and 7/8, and a threshold of about a half."""
    codes = np.array(weight, np.int64)
    neurons = (codes.shape[1],)
    states = State(8, 7, 3, 2), State(8, 7, 7, 3)
    return SpikingLayer(
        name, DENSE, (len(codes),), neurons, neurons, Weights(codes, bits, bits - 1), None, 1, 0, 1, *states, 65, -63
    )  # fmt: skip


def small_model(classes: tuple[str, ...] = ()) -> Model:
    """3 inputs, 4 neurons, 2 outputs."""
    layers = dense("hidden", [[7, -7, 3, 0], [5, 2, -1, 6], [1, 1, 1, -4]]), dense("output", [[6, -6]] * 4)
    rule = COUNT if classes else RASTER
    return Model(Input((3,), False, 1000, 0), layers, Decision(rule, 0, classes), SOURCE)


def small_local_model() -> Model:
    """Maps of 1 x 3 x 3, two maps of neurons, two classes."""
    rng = np.random.default_rng(0)
    weight = Weights(rng.integers(-7, 8, (2, 1, 2, 2)), 4, 3)
    traces = Traces(*(np.full((1, 3, 3), value) for value in (200, 9, 180, 70_000)), 8, 10, 8)
    after = np.array([[0, 0, 1, 2], [3, 3, 3, 3]])
    membrane = LocalMembrane(40_000, 26, 30_000, 12, np.array([0, 300, 600, 900]), after, 6, 2)
    activation = np.arange(63) // 2
    readout = Readout(Weights(rng.integers(-31, 32, (2, 8)), 6, 5), 6, activation, 6, 6)
    layer = LocalLayer(
        "layer1", (1, 3, 3), (2, 2, 2), (2, 2, 2), weight, np.array([3, -5]), 0, 1, traces, membrane, readout
    )
    return Model(Input((1, 3, 3), False, 1000, 0), (layer,), Decision(VOTES, 2, ("a", "b")), SOURCE)


def spikes(steps: int, samples: int, inputs: int, seed: int = 0) -> np.ndarray:
    """(T, B, N) of 0 and 1, int8."""
    return (np.random.default_rng(seed).random((steps, samples, inputs)) < 0.6).astype(np.int8)


def reseal(folder: Path) -> None:
    """Give every file the checksum that it has now."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    sums = (f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (folder / SUMS).write_text("".join(sums))


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change model.json, with checksums that are right."""
    content = json.loads((folder / MODEL).read_text())
    change(content)
    (folder / MODEL).write_text(json.dumps(content))
    reseal(folder)
