"""Differences of rows to a reference, paired by seed, by fold and, where predictions are kept, by recording."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.comparing.costs import WEIGHTS
from qsnn.comparing.intervals import Interval, by_recordings, by_seeds, verdict
from qsnn.comparing.kept.reading import Kept, Predictions, joined
from qsnn.comparing.keys import HARDWARE, is_of, is_width, name_of, several_tasks
from qsnn.comparing.metrics import TEST_ACCURACY, Metric
from qsnn.comparing.records import Record
from qsnn.comparing.rows import Row
from qsnn.errors import ConfigError

FULL_PRECISION = 32


class Difference(NamedTuple):
    """``reference``: the row that another is compared with; ``interval``: of the metric of that other minus the reference's;
    ``verdict``: whether it is as good within the margin."""

    reference: Row
    interval: Interval
    verdict: str


def reference_values(rows: Sequence[Row], keys: Sequence[str], wanted: dict[str, list[Any]]) -> dict[str, Any]:
    """What a reference has under which keys: what is ``wanted``, or the bit widths of the row that has most bits, or all values
    of the row with the largest weights where no width varies, but never a table that prices energy. Raises ConfigError."""
    for key, values in wanted.items():
        if key not in keys:
            raise ConfigError(
                f"reference={key}:{name_of(values[0])}: {key} makes no rows here; these do: {', '.join(keys) or 'none'}"
            )
        if len(values) > 1:
            raise ConfigError(f"reference= names {len(values)} values of {key}: one is the reference's")
    if wanted:
        return {key: values[0] for key, values in wanted.items()}
    widths = [place for place, key in enumerate(keys) if is_width(key)]
    places = widths or [place for place, key in enumerate(keys) if not is_of(key, [HARDWARE])]

    def size(row: Row) -> tuple[float, float]:
        return sum(mean_width(row.values[place]) for place in widths), row.cost(WEIGHTS) or 0.0

    largest = max((row for row in rows if row.finished), key=size, default=None)
    return {} if largest is None else {keys[place]: largest.values[place] for place in places}


def mean_width(value: Any) -> float:
    """Of a bit width, or of a list of them; full precision counts 32."""
    parts = value if isinstance(value, tuple) else (value,)
    known = [FULL_PRECISION if part is None else part for part in parts]
    return statistics.fmean(known) if known and all(isinstance(part, int | float) for part in known) else 0.0


def reference_of(row: Row, rows: Sequence[Row], keys: Sequence[str], values: dict[str, Any]) -> Row | None:
    """The row that has the reference's ``values`` and is like ``row`` in all else; None if there is none, or it is ``row``."""
    target = tuple(name_of(values.get(key, value)) for key, value in zip(keys, row.values, strict=True))
    found = next((other for other in rows if tuple(map(name_of, other.values)) == target), None)
    return None if found is row else found


class Pairing:
    """Compares rows by one metric."""

    def __init__(self, metric: Metric, confidence: float, margin: float, kept: Kept) -> None:
        self._metric, self._confidence, self._margin, self._kept = metric, confidence, margin, kept

    def difference(self, row: Row, reference: Row) -> Difference | None:
        """Of the seeds that both have; None if there are none, and of rows of experiments that do not share the task."""
        if several_tasks([*row.finished, *reference.finished]):
            return None
        scores, others = row.scores(self._metric), reference.scores(self._metric)
        seeds = [seed for seed in scores if seed in others]
        if not seeds:
            return None
        recordings = self._by_recording(row, reference, seeds)
        if recordings is not None:
            interval = by_recordings(recordings, self._confidence)
        else:
            interval = by_seeds([scores[seed] - others[seed] for seed in seeds], self._confidence)
        return Difference(reference, interval, verdict(self._oriented(interval), self._margin))

    def _oriented(self, interval: Interval) -> Interval:
        """Above 0 where the row is better."""
        if interval.low is None or interval.high is None:
            return interval
        low, high = sorted(self._metric.better_by(bound) for bound in (interval.low, interval.high))
        return interval._replace(low=low, high=high)

    def _by_recording(self, row: Row, reference: Row, seeds: list[Any]) -> NDArray[Any] | None:
        """(S, n): by seed and recording, one right minus the other right; None unless all runs were tested on the same ones."""
        data = {name_of(record.config.get("dataset.option")) for whole in (row, reference) for record in whole.records}
        if self._metric.name != TEST_ACCURACY or len(data) > 1:
            return None
        differences, first = [], None
        for seed in seeds:
            mine, theirs = (self._of_seed(whole.seeds[seed]) for whole in (row, reference))
            first = first or mine
            if mine is None or theirs is None or first is None:
                return None
            if not (mine.same_recordings(theirs) and mine.same_recordings(first)):
                return None
            differences.append(mine.right.astype(np.float64) - theirs.right)
        return np.array(differences)

    def _of_seed(self, records: Sequence[Record]) -> Predictions | None:
        """Of all folds together."""
        parts = []
        for record in records:
            found = self._kept.predictions(record)
            if found is None:
                return None
            parts.append(found)
        return parts[0] if len(parts) == 1 else joined(parts)


def all_differences(
    rows: Sequence[Row], keys: Sequence[str], values: dict[str, Any], pairing: Pairing
) -> list[Difference | None]:
    """Of each row; None of a reference itself, and of a row that has none."""
    references = [reference_of(row, rows, keys, values) for row in rows]
    return [
        None if reference is None else pairing.difference(row, reference)
        for row, reference in zip(rows, references, strict=True)
    ]
