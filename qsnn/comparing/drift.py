"""Drift of firing rates: how far the rates of a layer's neurons lie from those of the reference."""

import statistics
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn.comparing.kept.reading import Kept
from qsnn.comparing.rows import Row


def earth_movers_distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Of two samples of numbers, (N) and (M): the integral over q in (0, 1) of |F^-1(q) - G^-1(q)|, F and G their
    distributions; of equally many the mean distance of the sorted values."""
    first, second = np.sort(first.astype(np.float64)), np.sort(second.astype(np.float64))
    if len(first) == len(second):
        return float(np.abs(first - second).mean())
    steps = np.unique(np.concatenate([np.arange(1, len(v) + 1) / len(v) for v in (first, second)]))
    starts = np.concatenate([[0.0], steps[:-1]])
    middles = (starts + steps) / 2
    quantiles = [values[np.minimum((middles * len(values)).astype(int), len(values) - 1)] for values in (first, second)]
    return float((np.abs(quantiles[0] - quantiles[1]) * (steps - starts)).sum())


class Drift:
    """Compares the rates of rows."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def between(self, row: Row, reference: Row) -> dict[str, float]:
        """By layer, in spikes per neuron and step: the mean over the seeds and folds that both have."""
        found: dict[str, list[float]] = defaultdict(list)
        others = {(record.seed, record.fold): record for record in reference.finished}
        for record in row.finished:
            other = others.get((record.seed, record.fold))
            if other is not None:
                mine, theirs = self._kept.rates(record), self._kept.rates(other)
                for layer in mine.keys() & theirs.keys():
                    found[layer].append(earth_movers_distance(mine[layer], theirs[layer]))
        return {layer: statistics.fmean(values) for layer, values in sorted(found.items())}
