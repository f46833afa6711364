"""What runs reached: which figure of summary.json is a metric, which way it is good, and how folds and seeds make one value."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from qsnn.comparing.records import Record
from qsnn.errors import ConfigError

TEST_ACCURACY, RELATIVE_DISTANCE = "test_accuracy", "final.relative_distance"
LABELS = {
    RELATIVE_DISTANCE: "final / silent",
    "best.relative_distance": "best / silent",
    "final.distance": "final distance",
    "best.distance": "best distance",
}
BESIDE = (
    TEST_ACCURACY, "validation_accuracy", RELATIVE_DISTANCE, "best.relative_distance", "final.distance", "best.distance",
)  # fmt: skip
"""The figures that a table has, where all runs have them."""


class Metric(NamedTuple):
    """``name``: as ``metric=`` has it. A share is told in percent."""

    name: str

    @property
    def label(self) -> str:
        """For people."""
        return LABELS.get(self.name, self.name.replace("_", " "))

    @property
    def is_accuracy(self) -> bool:
        """Whether it is a share of recordings that were classified rightly."""
        return "accuracy" in self.name

    @property
    def is_share(self) -> bool:
        """Whether it is told in percent."""
        return self.is_accuracy or self.name.endswith(("relative_distance", "_ties")) or ".rate_" in self.name

    @property
    def error_label(self) -> str:
        """Of `error`."""
        return f"{self.label.removesuffix('accuracy')}error" if self.is_accuracy else self.label

    def error(self, value: float) -> float:
        """What is better the smaller it is: 1 - accuracy, or the figure itself."""
        return 1 - value if self.is_accuracy else value

    def better_by(self, difference: float) -> float:
        """A difference of the figure, above 0 where the first is the better one."""
        return difference if self.is_accuracy else -difference

    def tell(self, value: float | None, beside: float | None = None) -> str:
        """For people; with as many decimals as what it stands ``beside``."""
        if value is None:
            return ""
        large = abs(value if beside is None else beside) >= 10
        return f"{value:.1%}" if self.is_share else f"{value:,.1f}" if large else f"{value:.3g}"


def figure(summary: Mapping[str, Any], name: str) -> float | None:
    """A number of a summary, by its dotted place; without ``final.`` or ``best.`` that of the weights that validation chose, or
    of the last ones where none are best. None if there is none."""
    places = [name] if "." in name or name in summary else [f"best.{name}", f"final.{name}"]
    return next((value for place in places if (value := _number(summary, place)) is not None), None)


def _number(summary: Mapping[str, Any], place: str) -> float | None:
    found: Any = summary
    for part in place.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        number = float(found)
    except OverflowError:  # an integer that no float is near
        return None
    return number if math.isfinite(number) else None


def counted(summary: Mapping[str, Any], name: str) -> tuple[int, int] | None:
    """Of a test accuracy, how many recordings were right and how many there were; None of every other figure."""
    part, _, figure_name = name.rpartition(".")
    if figure_name != TEST_ACCURACY:
        return None
    scores = summary.get(part) if part else summary.get("best")
    if not part and not (isinstance(scores, dict) and "confusion" in scores):
        scores = summary.get("final")
    matrix = scores.get("confusion") if isinstance(scores, dict) else None
    try:
        right, total = sum(row[place] for place, row in enumerate(matrix or ())), sum(map(sum, matrix or ()))
    except (TypeError, LookupError):
        return None
    return (right, total) if total else None


def pooled(summaries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """Of the folds of one seed: the share of all their test recordings together, each of which is in one fold; of other figures
    the mean. None if a fold has no such figure."""
    counts = [count for summary in summaries if (count := counted(summary, name)) is not None]
    if summaries and len(counts) == len(summaries):
        return sum(right for right, _ in counts) / sum(total for _, total in counts)
    values = [value for summary in summaries if (value := figure(summary, name)) is not None]
    return sum(values) / len(values) if values and len(values) == len(summaries) else None


def choose_metric(name: str | None, records: Sequence[Record]) -> Metric:
    """The one that is asked for, or the one that all finished runs have: test accuracy, or the final distance as share of a
    silent net's. Raises ConfigError."""
    finished = [record for record in records if record.finished]
    if name is not None:
        lacking = [record for record in finished if figure(record.summary, name) is None]
        if lacking and len(lacking) == len(finished):
            known = _figures(finished)
            near = difflib.get_close_matches(name, known, 3)
            there = [figure_name for figure_name in BESIDE if figure_name in known] or known
            raise ConfigError(
                f"metric={name} is no figure of these runs; {'near are ' if near else 'such as '}{', '.join(near or there)}"
            )
        if lacking:
            raise ConfigError(
                f"metric={name}: {_told(lacking)} {'has' if len(lacking) == 1 else 'have'} no such figure"
            )
        return Metric(name)
    for candidate in BESIDE:
        if all(figure(record.summary, candidate) is not None for record in finished):
            return Metric(candidate)
    firsts = [(next((name for name in BESIDE if figure(r.summary, name) is not None), None), r) for r in finished]
    kinds = {name: f"{r.experiment} has {name}" if name else f"{r.folder} has none" for name, r in firsts}
    told = ", ".join(kinds.values())
    raise ConfigError(
        f"these runs have no metric in common ({told}): name folders of one kind, or select=name:<experiment>"
    )


def _told(records: Sequence[Record]) -> str:
    first = records[0].folder
    return f"{first}" if len(records) == 1 else f"{len(records)} runs, such as {first},"


def _figures(records: Sequence[Record]) -> list[str]:
    """Names that ``metric=`` takes, of the first run."""
    summary = records[0].summary if records else {}
    parts = {part: summary[part] for part in ("final", "best") if isinstance(summary.get(part), dict)}
    dotted = [
        f"{part}.{key}" for part, scores in parts.items() for key, value in scores.items() if isinstance(value, float)
    ]
    return list(dict.fromkeys([*(name.partition(".")[2] for name in dotted), *dotted, "seconds"]))


def beside(records: Sequence[Record], metric: Metric) -> list[Metric]:
    """The other figures that a table of these runs has."""
    finished = [record for record in records if record.finished]
    known = [Metric(name) for name in BESIDE if all(figure(r.summary, name) is not None for r in finished)]
    return [other for other in known if other.name != metric.name]
