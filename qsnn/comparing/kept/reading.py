"""What runs keep of their last evaluation, beside summary.json: predictions, rates of neurons, learning curves."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.comparing.metrics import TEST_ACCURACY, counted
from qsnn.comparing.records import Record, printable
from qsnn.data.formats.npz import ADVICE, NpzFile, npz_shapes
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

    @property
    def counts(self) -> tuple[int, int]:
        """How many are right, and how many there are."""
        return int(self.right.sum()), len(self.right)

    def same_recordings(self, other: "Predictions") -> bool:
        """Whether two runs were tested on the same ones."""
        return np.array_equal(self.number, other.number) and np.array_equal(self.label, other.label)


class Kept:
    """What runs keep, each file read once: the same is asked for pairs, for drift, and by whoever tells what is damaged."""

    def __init__(self) -> None:
        self._read: dict[Path, Any] = {}

    def predictions(self, record: Record) -> Predictions | None:
        """What a run keeps; None if it keeps none, or others than its summary counts, as after a copy or an edit."""
        found = self._content(_file(record, PREDICTIONS))
        fits = isinstance(found, Predictions) and counted(record.summary, TEST_ACCURACY) == found.counts
        return found if fits else None

    def rates(self, record: Record) -> dict[str, NDArray[Any]]:
        """By layer: spikes per time step of each neuron; none if the run keeps none."""
        found = self._content(_file(record, RATES))
        return found if isinstance(found, dict) else {}

    def wrong(self, path: Path) -> str:
        """What makes one of these files unreadable; "" if nothing does."""
        found = self._content(path)
        return found if isinstance(found, str) else ""

    def _content(self, path: Path | None) -> Any:
        """Of a file; as text what is wrong with it; None where there is none."""
        if path is not None and path not in self._read:
            try:
                self._read[path] = load_rates(path) if path.name == RATES else load_predictions(path)
            except DataError as error:
                reason = str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
                self._read[path] = reason.removesuffix(f"; {ADVICE}")  # nobody saves what a run has written
        return self._read.get(path) if path is not None else None


def load_predictions(path: Path) -> Predictions:
    """Those in a file. Raises DataError for what a run does not write."""
    file = NpzFile(path, dict.fromkeys(COLUMNS, "i"))
    if lacking := [name for name in COLUMNS if name not in file.declared]:
        raise file.error(f"it lacks {', '.join(lacking)}")
    index, label, prediction = (file.read(name) for name in COLUMNS)
    if index.ndim != 1 or not index.shape == label.shape == prediction.shape:
        raise file.error(
            f"shapes {list(index.shape)}, {list(label.shape)} and {list(prediction.shape)} are not alike, or no rows"
        )
    found = joined([Predictions(index, label, label == prediction)])
    if found is None:
        raise file.error("a recording is there twice")
    return found


def joined(parts: Sequence[Predictions]) -> Predictions | None:
    """Of all folds together; None if a recording is in two of them."""
    index, label, right = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(index, kind="stable")
    index = index[order]
    return None if (index[1:] == index[:-1]).any() else Predictions(index, label[order], right[order])


def load_rates(path: Path) -> dict[str, NDArray[Any]]:
    """Those in a file, by layer. Raises DataError for what a run does not write."""
    file = NpzFile(path, dict.fromkeys(npz_shapes(path), "f"))
    rates = {printable(name): file.read(name).ravel() for name in file.declared}
    for name, values in rates.items():
        if not (len(values) and np.isfinite(values).all() and (values >= 0).all()):
            raise file.error(f"{name} holds no rates of neurons")
    if not rates:
        raise file.error("it holds no layer")
    return rates


def read_curve(record: Record, prefixes: tuple[str, ...]) -> tuple[str, dict[int, float]]:
    """A figure over epochs: the last, in the order of a line, whose name begins with the first of ``prefixes`` that there is.

    Of at most `MOST_POINTS` epochs, evenly spread over those that were logged. ("", {}) if there is none.
    """
    path = _file(record, METRICS)
    rows = [row for line in _some_lines(path) if (row := _row(line)) is not None] if path else []
    names = dict.fromkeys(key for row in rows for key in row)
    for prefix in prefixes:
        found = [name for name in names if name == prefix or name.startswith(f"{prefix}_")]
        if found:
            points = {row["epoch"]: row[found[-1]] for row in rows if isinstance(row.get(found[-1]), int | float)}
            return printable(found[-1]), points
    return "", {}


def is_logged(path: Path, record: Record) -> bool:
    """Whether the lines that a curve is made of are those of epochs, and there are any where the run has logged some."""
    lines = _some_lines(path)
    every, epochs = record.config.get("logging.metrics_every"), record.summary.get("epochs")
    wanted = type(every) is int and type(epochs) is int and 0 < every <= epochs
    return all(_row(line) is not None for line in lines) and bool(lines or not wanted)


def _some_lines(path: Path) -> list[bytes]:
    """At most `MOST_POINTS`, evenly spread."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    places = np.linspace(0, len(lines) - 1, min(len(lines), MOST_POINTS)).round().astype(int).tolist()
    return [lines[place] for place in dict.fromkeys(places)]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("epoch")) is int else None


def _file(record: Record, name: str) -> Path | None:
    path = None if record.folder is None else record.folder / name
    return path if path is not None and path.is_file() else None
