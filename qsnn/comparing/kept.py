"""What runs keep of their last evaluation, beside summary.json: predictions, rates of neurons, learning curves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.comparing.metrics import TEST_ACCURACY, counted
from qsnn.comparing.records import Record, printable
from qsnn.data.formats.npz import NpzFile, npz_shapes
from qsnn.errors import DataError

RATES, PREDICTIONS, METRICS = "rates.npz", "test_predictions.npz", "metrics.jsonl"
COLUMNS = ("index", "label", "prediction")
MOST_POINTS = 200
"""Of a learning curve: more cannot be seen."""


class Predictions(NamedTuple):
    """Of test recordings, ascending: their numbers, their classes, and which were classified rightly, (n) each."""

    number: NDArray[Any]
    label: NDArray[Any]
    right: NDArray[Any]

    def same_recordings(self, other: "Predictions") -> bool:
        """Whether two runs were tested on the same ones."""
        return np.array_equal(self.number, other.number) and np.array_equal(self.label, other.label)


def read_predictions(record: Record) -> Predictions | None:
    """What a run keeps; None if it keeps none, or others than its summary counts, as after a copy or an edit."""
    path = _file(record, PREDICTIONS)
    if path is None:
        return None
    try:
        file = NpzFile(path, dict.fromkeys(COLUMNS, "i"))
        index, label, prediction = (file.read(name) for name in COLUMNS)
    except (DataError, KeyError):
        return None
    if index.ndim != 1 or not index.shape == label.shape == prediction.shape:
        return None
    right = label == prediction
    known = counted(record.summary, TEST_ACCURACY) == (int(right.sum()), len(right))
    return joined([Predictions(index, label, right)]) if known else None


def joined(parts: Sequence[Predictions]) -> Predictions | None:
    """Of all folds together; None if a recording is in two of them."""
    index, label, right = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(index, kind="stable")
    index = index[order]
    return None if (index[1:] == index[:-1]).any() else Predictions(index, label[order], right[order])


def read_rates(record: Record) -> dict[str, NDArray[Any]]:
    """By layer: spikes per time step of each neuron; none if the run keeps none."""
    path = _file(record, RATES)
    if path is None:
        return {}
    try:
        file = NpzFile(path, dict.fromkeys(npz_shapes(path), "f"))
        rates = {printable(name): file.read(name).ravel() for name in file.declared}
    except (DataError, KeyError):
        return {}
    return {name: values for name, values in rates.items() if len(values) and np.isfinite(values).all()}


def read_curve(record: Record, prefixes: tuple[str, ...]) -> tuple[str, dict[int, float]]:
    """A figure over epochs: the last, in the order of a line, whose name begins with the first of ``prefixes`` that there is.

    Of at most `MOST_POINTS` epochs, evenly spread over those that were logged. ("", {}) if there is none.
    """
    path = _file(record, METRICS)
    try:
        lines = path.read_bytes().splitlines() if path else []
    except OSError:
        lines = []
    places = np.linspace(0, len(lines) - 1, min(len(lines), MOST_POINTS)).round().astype(int).tolist()
    rows = [row for place in dict.fromkeys(places) if (row := _row(lines[place])) is not None]
    names = dict.fromkeys(key for row in rows for key in row)
    for prefix in prefixes:
        found = [name for name in names if name == prefix or name.startswith(f"{prefix}_")]
        if found:
            points = {row["epoch"]: row[found[-1]] for row in rows if isinstance(row.get(found[-1]), int | float)}
            return printable(found[-1]), points
    return "", {}


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("epoch")) is int else None


def _file(record: Record, name: str) -> Path | None:
    path = None if record.folder is None else record.folder / name
    return path if path is not None and path.is_file() else None
