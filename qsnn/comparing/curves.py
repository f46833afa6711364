"""Learning curves of rows: mean and range over seeds, at the epochs that all of them logged."""

import statistics
from collections.abc import Sequence

from qsnn.comparing.charts.scene import NUM_SERIES
from qsnn.comparing.comparison import Comparison
from qsnn.comparing.kept.reading import read_curve
from qsnn.comparing.metrics import Metric
from qsnn.comparing.rows import Row

Curve = dict[int, tuple[float, float, float]]
ACCURACIES = ("validation_accuracy", "online_accuracy", "loss")
DISTANCES = ("relative_distance", "distance", "loss")
MOST_RUNS = 10
"""Of a row: more make no better mean to look at."""


def curves(comparison: Comparison) -> tuple[str, dict[str, Curve]]:
    """The figure, and by the name of a row at each epoch mean, smallest and largest value. ("", {}) if nothing was logged."""
    prefixes = _prefixes(comparison.metric)
    figure, lines = "", {}
    for row in _shown(comparison):
        name, curve = _curve(row, prefixes)
        if len(curve) > 1 and name in (figure or name):
            figure, lines[row.name(comparison.keys)] = name, curve
    return figure, lines


def _prefixes(metric: Metric) -> tuple[str, ...]:
    return (
        ACCURACIES
        if metric.is_accuracy
        else DISTANCES
        if "distance" in metric.name
        else (metric.name, *DISTANCES, *ACCURACIES)
    )


def _shown(comparison: Comparison) -> Sequence[Row]:
    """At most as many rows as a chart has colours: those on a front, then the others, in the table's order."""
    front = set().union(*comparison.fronts.values()) if comparison.fronts else set()
    known = [place for place, row in enumerate(comparison.rows) if row.finished]
    chosen = sorted(known, key=lambda place: (place not in front, place))[:NUM_SERIES]
    return [comparison.rows[place] for place in sorted(chosen)]


def _curve(row: Row, prefixes: tuple[str, ...]) -> tuple[str, Curve]:
    found = [read_curve(record, prefixes) for record in row.finished[:MOST_RUNS]]
    known = [(name, points) for name, points in found if points]
    if not known:
        return "", {}
    name = known[0][0]
    runs = [points for other, points in known if other == name]
    shared = sorted(set.intersection(*(set(points) for points in runs)))
    at = {epoch: [points[epoch] for points in runs] for epoch in shared}
    return name, {epoch: (statistics.fmean(values), min(values), max(values)) for epoch, values in at.items()}
