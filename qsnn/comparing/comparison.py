"""The whole comparison: from what a user asks to rows, differences, front and drift."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qsnn.comparing.costs import COSTS, ENERGY, WEIGHTS, Cost
from qsnn.comparing.drift import Drift
from qsnn.comparing.front import pareto_front
from qsnn.comparing.kept.damage import damaged_files
from qsnn.comparing.kept.reading import Kept
from qsnn.comparing.keys import HARDWARE, find_key, find_keys, find_values, is_of, is_width, select, varied_keys
from qsnn.comparing.metrics import Metric, beside, choose_metric
from qsnn.comparing.paired import Difference, Pairing, all_differences, reference_of, reference_values
from qsnn.comparing.prices import told_tables
from qsnn.comparing.records import Record, experiments, read_records
from qsnn.comparing.rows import Row, rows_of
from qsnn.errors import ConfigError, RunFolderError


class Request(NamedTuple):
    """What a user asks; None and empty text leave it to the report. ``by``, ``select``, ``reference``, ``lines``: as typed."""

    folders: tuple[Path, ...]
    by: str = ""
    metric: str | None = None
    select: str = ""
    reference: str = ""
    lines: str = ""
    confidence: float = 0.95
    margin: float = 0.01
    out: Path | None = None
    command: str = ""


class Comparison(NamedTuple):
    """``rows`` by ``keys``, a `Difference` and a drift by layer for each, None and empty where there is none.

    ``found``: how many runs the folders hold, ``records``: those that ``select=`` leaves of them; ``fronts``: by the name of a
    cost, places of the rows that no other beats; ``homeless``: runs of no row, as too little is known of them; ``line_key``:
    its values are the lines of pictures; ``damaged``: a line for each file of a run or a sweep that cannot be read.
    """

    request: Request
    found: int
    records: list[Record]
    keys: list[str]
    metric: Metric
    others: list[Metric]
    costs: list[Cost]
    rows: list[Row]
    reference: dict[str, Any]
    differences: list[Difference | None]
    drifts: list[dict[str, float]]
    fronts: dict[str, set[int]]
    homeless: list[Record]
    line_key: str | None
    damaged: list[str]

    @property
    def title(self) -> str:
        """What it is a comparison of."""
        return " and ".join(experiments(self.records)[:3]) or "runs"

    @property
    def counts(self) -> str:
        """How many runs ended how."""
        found = Counter(record.status for record in self.records)
        return ", ".join(f"{number} {status}" for status, number in found.most_common())

    @property
    def unfinished(self) -> list[Record]:
        """The runs without scores."""
        return [record for record in self.records if not record.finished]

    def error(self, row: Row) -> float | None:
        """The mean error."""
        mean = row.mean(self.metric)
        return None if mean is None else self.metric.error(mean)


def compare(request: Request) -> Comparison:
    """Read the folders and work out everything. Raises ConfigError and RunFolderError."""
    everything = read_records(request.folders)
    records = select(request.select, everything)
    if not any(record.finished for record in records):
        ended = Counter(record.status for record in records)
        told = ", ".join(f"{number} {status}" for status, number in ended.items())
        first = next((f"; {r.folder or 'the first'}: {r.reason}" for r in records if r.reason), "")
        raise RunFolderError(f"no run is finished yet: {told}{first}")
    metric = choose_metric(request.metric, records)
    if metric.is_share and request.margin > 1:
        raise ConfigError(
            f"margin={request.margin:g} is not possible: {metric.name} is a share, of which 0.01 is a point: at most 1"
        )
    keys = find_keys("by", request.by, records) if request.by else varied_keys(records)
    rows, homeless = rows_of(records, keys)
    wanted = find_values("reference", request.reference, records)
    if metric.name.startswith(f"{ENERGY.name}.") and len(tables_of(rows)) > 1:
        raise ConfigError(f"metric={metric.name}: {told_tables([record for row in rows for record in row.finished])}")
    reference = reference_values(rows, keys, wanted)
    kept = Kept()
    pairing = Pairing(metric, request.confidence, request.margin, kept)
    return Comparison(
        request, len(everything), records, keys, metric, beside(records, metric), _known(rows), rows, reference,
        all_differences(rows, keys, reference, pairing), _drifts(rows, keys, reference, kept), _fronts(rows, metric), homeless,
        _asked_line_key(request.lines, keys, records) if request.lines else _line_key(keys, rows),
        damaged_files(request.folders, records, kept),
    )  # fmt: skip


def _asked_line_key(name: str, keys: Sequence[str], records: Sequence[Record]) -> str:
    """The key that ``lines=`` names. Raises ConfigError for one that makes no rows, of which there are no lines."""
    key = find_key("lines", name, records)
    if key not in keys:
        raise ConfigError(f"lines={name}: {key} makes no rows here; these do: {', '.join(keys) or 'none'}")
    return key


def _known(rows: Sequence[Row]) -> list[Cost]:
    """The costs that any row tells."""
    return [cost for cost in COSTS if any(row.cost(cost) is not None for row in rows)]


def _drifts(rows: Sequence[Row], keys: Sequence[str], reference: dict[str, Any], kept: Kept) -> list[dict[str, float]]:
    drift = Drift(kept)
    others = [reference_of(row, rows, keys, reference) for row in rows]
    return [{} if other is None else drift.between(row, other) for row, other in zip(rows, others, strict=True)]


def _fronts(rows: Sequence[Row], metric: Metric) -> dict[str, set[int]]:
    """Of the rows whose runs all tell the cost, by one table."""
    whole = {
        cost.name: [None if row.whole_cost(cost) is None else point_of(row, metric, cost) for row in rows]
        for cost in (WEIGHTS, ENERGY)
        if len(tables_of(rows, cost)) < 2
    }
    return {name: pareto_front(points) for name, points in whole.items() if len(rows) > 1 and any(points)}


def tables_of(rows: Sequence[Row], cost: Cost = ENERGY) -> set[Any]:
    """By which tables the runs of rows were priced."""
    return set().union(*(row.tables(cost) for row in rows))


def point_of(row: Row, metric: Metric, cost: Cost) -> tuple[float, float] | None:
    """(cost, mean error) of a row."""
    price, mean = row.cost(cost), row.mean(metric)
    return None if price is None or mean is None else (price, metric.error(mean))


def _line_key(keys: Sequence[str], rows: Sequence[Row]) -> str | None:
    """The key whose values are lines: the weights' bit width, else another one, else the first key, of at least two values;
    none of the table that prices energy."""
    net = [(place, key) for place, key in enumerate(keys) if not is_of(key, [HARDWARE])]
    varied = [key for place, key in net if len({row.values[place] for row in rows}) > 1]
    ranked = sorted(varied, key=lambda key: (not key.endswith("weight_bits"), not is_width(key)))
    return ranked[0] if ranked else None
