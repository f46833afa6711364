"""Rows of a table: runs that share the values of some keys, with the means over their seeds and what these leave open."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from qsnn.comparing.costs import ENERGY, Cost
from qsnn.comparing.keys import name_of, order_of, value_of
from qsnn.comparing.metrics import Metric, counted, pooled
from qsnn.comparing.prices import table_of
from qsnn.comparing.records import Record
from qsnn.errors import ConfigError


@dataclass(eq=False)
class Row:
    """``values``: of the keys that make rows; ``records``: its runs, finished or not, all of them before anything is asked."""

    values: tuple[Any, ...]
    records: list[Record]
    _scores: dict[str, dict[Any, float]] = field(default_factory=dict, repr=False)
    _known_costs: dict[str, list[float]] = field(default_factory=dict, repr=False)

    def name(self, keys: Sequence[str]) -> str:
        """Its values with the last part of their keys."""
        pairs = zip(short_names(keys), self.values, strict=True)
        return " ".join(f"{key}={name_of(value)}" for key, value in pairs) or "all runs"

    @cached_property
    def finished(self) -> list[Record]:
        """The runs that have scores."""
        return [record for record in self.records if record.finished]

    @cached_property
    def seeds(self) -> dict[Any, list[Record]]:
        """The runs of each seed that is complete, with all its folds."""
        by_seed: dict[Any, list[Record]] = defaultdict(list)
        for record in self.records:
            by_seed[record.seed].append(record)
        folds = max(map(len, by_seed.values()), default=0)
        whole = {seed: of for seed, of in by_seed.items() if len(of) == folds and all(r.finished for r in of)}
        return dict(sorted(whole.items(), key=lambda item: order_of(item[0])))

    def scores(self, metric: Metric) -> dict[Any, float]:
        """By seed, folds pooled."""
        if metric.name not in self._scores:
            found = {seed: pooled([r.summary for r in of], metric.name) for seed, of in self.seeds.items()}
            self._scores[metric.name] = {seed: value for seed, value in found.items() if value is not None}
        return self._scores[metric.name]

    def mean(self, metric: Metric) -> float | None:
        """Over seeds."""
        scores = self.scores(metric)
        return statistics.fmean(scores.values()) if scores else None

    def spread(self, metric: Metric) -> float | None:
        """Standard deviation over seeds (n - 1); None of a single one."""
        scores = self.scores(metric)
        return statistics.stdev(scores.values()) if len(scores) > 1 else None

    def tested(self, metric: Metric) -> int | None:
        """How many test recordings a seed has in all its folds; None of figures that are no test accuracy."""
        for of in self.seeds.values():
            counts = [counted(record.summary, metric.name) for record in of]
            if None not in counts:
                return sum(count[1] for count in counts if count is not None)
        return None

    def standard_error(self, metric: Metric) -> float | None:
        """sqrt(p (1 - p) / n) of a test accuracy p on n recordings. All seeds test the same ones, so more do not lessen it."""
        p, n = self.mean(metric), self.tested(metric)
        return None if p is None or not n else math.sqrt(p * (1 - p) / n)

    def cost(self, cost: Cost) -> float | None:
        """The median over the finished runs that tell it; None also of energies by several tables, which have none."""
        values = self._costs(cost)
        return statistics.median(values) if values and len(self.tables(cost)) < 2 else None

    def whole_cost(self, cost: Cost) -> float | None:
        """The same where every finished run tells it, so that it can be compared with that of another row."""
        return self.cost(cost) if len(self._costs(cost)) == len(self.finished) else None

    def told_cost(self, cost: Cost) -> str:
        """For people: with the number of runs that tell it where that is not all of them."""
        known, of, tables = len(self._costs(cost)), len(self.finished), len(self.tables(cost))
        lack = "" if known == of else f"{known} of {of}"
        if tables > 1:
            return f"{tables} tables"
        return f"{cost.tell(self.cost(cost))} ({lack})" if known and lack else lack or cost.tell(self.cost(cost))

    def tables(self, cost: Cost) -> set[Any]:
        """By which tables its runs were priced; none of a cost that needs no table."""
        return self._tables if cost is ENERGY else set()

    @cached_property
    def _tables(self) -> set[Any]:
        return {table_of(record.summary) for record in self.finished if ENERGY.of(record.summary) is not None}

    def _costs(self, cost: Cost) -> list[float]:
        if cost.name not in self._known_costs:
            found = (cost.of(record.summary) for record in self.finished)
            self._known_costs[cost.name] = [value for value in found if value is not None]
        return self._known_costs[cost.name]

    def told_runs(self) -> str:
        """How many runs there are, and what became of those that are not finished."""
        others = Counter(record.status for record in self.records if not record.finished)
        if not others:
            return str(len(self.records))
        return f"{len(self.finished)} of {len(self.records)} ({', '.join(f'{n} {status}' for status, n in others.items())})"


def short_names(keys: Sequence[str]) -> list[str]:
    """The last parts of keys, as long as these are different."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [end if ends.count(end) == 1 else key for key, end in zip(keys, ends, strict=True)]


def rows_of(records: Iterable[Record], keys: Sequence[str]) -> tuple[list[Row], list[Record]]:
    """Rows in order, and the runs that belong to none, because it is not known what they would have been.

    A run whose config is not known whole counts to the only row that agrees with what is known of it.
    Raises ConfigError where a row would mix runs that differ in more than seed and fold.
    """
    rows: dict[tuple[str, ...], Row] = {}
    partial: list[Record] = []
    for record in records:
        if record.settled:
            _into(rows, tuple(value_of(record, key) for key in keys), record)
        else:
            partial.append(record)
    homeless = [record for record in partial if not _placed(rows, keys, record)]
    ordered = sorted(rows.values(), key=lambda row: tuple(order_of(value) for value in row.values))
    for row in ordered:
        _check_replicates(row, keys)
    return ordered, homeless


def _into(rows: dict[tuple[str, ...], Row], values: tuple[Any, ...], record: Record) -> None:
    rows.setdefault(tuple(map(name_of, values)), Row(values, [])).records.append(record)


def _placed(rows: dict[tuple[str, ...], Row], keys: Sequence[str], record: Record) -> bool:
    """Put a run of which not all is known where it belongs."""
    known = {place: record.config[key] for place, key in enumerate(keys) if key in record.config}
    agreeing = [row for row in rows.values() if all(name_of(row.values[p]) == name_of(v) for p, v in known.items())]
    if len(known) == len(keys):
        _into(rows, tuple(known.values()), record)
    elif len(agreeing) == 1:
        agreeing[0].records.append(record)
    return len(known) == len(keys) or len(agreeing) == 1


def _check_replicates(row: Row, keys: Sequence[str]) -> None:
    counts = Counter((record.seed, record.fold) for record in row.records)
    (seed, fold), most = counts.most_common(1)[0]
    if most > 1:
        first, second = [record for record in row.records if (record.seed, record.fold) == (seed, fold)][:2]
        which = f"{row.name(keys)}, seed {name_of(seed)}" + ("" if fold is None else f" and fold {fold}")
        raise ConfigError(
            f"{most} runs are of {which}, so that a mean would mix them: {_difference(first, second)} "
            f"(they are in {first.folder} and {second.folder})"
        )


def _difference(first: Record, second: Record) -> str:
    differing = [
        key
        for key in first.config
        if key in second.config and first.config[key] != second.config[key] and "logging" not in key
    ]
    if not differing:
        return "they are the same run twice: name fewer folders"
    return f"they differ in {', '.join(differing[:3])}: choose by= with that key, select= or fewer folders"
