"""The table of a report, for the console, as Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from qsnn.comparing.comparison import Comparison
from qsnn.comparing.costs import Cost
from qsnn.comparing.intervals import Interval
from qsnn.comparing.keys import name_of, order_of
from qsnn.comparing.metrics import Metric
from qsnn.comparing.paired import Difference
from qsnn.comparing.rows import Row, short_names

MOST_SEEDS = 5
"""Whose scores are told one by one."""


class Column(NamedTuple):
    """``order``: of each cell, to be sorted by; None: behind all others. ``numeric``: set to the right."""

    head: str
    cells: list[str]
    order: list[float | None]
    numeric: bool = True


def columns_of(c: Comparison) -> list[Column]:
    """All that people read; a column that would be empty is left out."""
    columns = [_key_column(c, place, name) for place, name in enumerate(short_names(c.keys))]
    columns.append(_mean_column(c, c.metric))
    columns.append(_column("standard error", [row.standard_error(c.metric) for row in c.rows], c.metric.tell))
    columns += _seeds(c)
    columns += [_mean_column(c, other) for other in c.others]
    columns += _differences(c)
    columns += [
        Column(
            _cost_head(cost.name, cost.unit),
            [row.told_cost(cost) for row in c.rows],
            [row.cost(cost) for row in c.rows],
        )
        for cost in c.costs
    ]
    columns.append(Column("runs", [row.told_runs() for row in c.rows], [float(len(row.finished)) for row in c.rows]))
    columns += [_front(c, name, front) for name, front in c.fronts.items()]
    return [column for column in columns if any(column.cells)]


def _cost_head(name: str, unit: str) -> str:
    return name if name == "seconds" else f"{name} [{unit}]"


def _key_column(c: Comparison, place: int, name: str) -> Column:
    values = [row.values[place] for row in c.rows]
    ranks = {name_of(value): float(rank) for rank, value in enumerate(sorted(values, key=order_of))}
    return Column(name, [name_of(value) for value in values], [ranks[name_of(v)] for v in values], numeric=False)


def _column(head: str, values: Sequence[float | None], tell: Any) -> Column:
    return Column(head, [tell(value) for value in values], list(values))


def _mean_column(c: Comparison, metric: Metric) -> Column:
    cells = [told_mean(row, metric) for row in c.rows]
    return Column(metric.label, cells, [row.mean(metric) for row in c.rows])


def told_mean(row: Row, metric: Metric) -> str:
    """Mean, and spread over seeds where there are several."""
    mean, spread = row.mean(metric), row.spread(metric)
    return metric.tell(mean) + ("" if spread is None else f" ± {metric.tell(spread, mean)}")


def _seeds(c: Comparison) -> list[Column]:
    scores = [list(row.scores(c.metric).values()) for row in c.rows]
    told = [", ".join(map(c.metric.tell, of)) for of in scores]
    tested = _column(
        "recordings tested", [row.tested(c.metric) for row in c.rows], lambda n: "" if n is None else str(n)
    )
    most = max(map(len, scores), default=0)
    by_seed = Column("by seed", told, [of[0] if of else None for of in scores])
    return [by_seed, tested] if 1 < most <= MOST_SEEDS else [tested]


def _differences(c: Comparison) -> list[Column]:
    if not any(c.differences):
        return []
    means = [None if difference is None else difference.interval.mean for difference in c.differences]
    verdicts = ["" if difference is None else difference.verdict for difference in c.differences]
    ranks = {"": None, "yes": 2.0, "undecided": 1.0, "no": 0.0}
    told = [_told_difference(c, row, difference) for row, difference in zip(c.rows, c.differences, strict=True)]
    return [
        Column(f"difference [{c.request.confidence:.0%} interval]", told, means),
        Column(f"as good within {told_margin(c)}", verdicts, [ranks[verdict] for verdict in verdicts], numeric=False),
    ]


def _told_difference(c: Comparison, row: Row, difference: Difference | None) -> str:
    if difference is None:
        is_reference = any(other is not None and other.reference is row for other in c.differences)
        return "reference" if is_reference else ""
    return told_interval(c.metric, difference.interval)


def told_interval(metric: Metric, interval: Interval) -> str:
    """Difference and interval; of shares in points."""

    def tell(value: float) -> str:
        return f"{100 * value:+.1f}" if metric.is_share else f"{value:+.3g}"

    if interval.low is None or interval.high is None:
        return tell(interval.mean)
    return f"{tell(interval.mean)} [{tell(interval.low)}, {tell(interval.high)}]"


def told_margin(c: Comparison) -> str:
    """The margin; of shares in points."""
    margin = c.request.margin
    if not c.metric.is_share:
        return f"{margin:g}"
    return f"{100 * margin:g} point" + ("" if margin == 0.01 else "s")


def _front(c: Comparison, name: str, front: set[int]) -> Column:
    """ "unknown" of a row that has scores, but not of every run the cost."""
    cost = next(cost for cost in c.costs if cost.name == name)
    unknown = [row.whole_cost(cost) is None and bool(row.finished) for row in c.rows]
    marks = ["unknown" if unknown[place] else "yes" if place in front else "" for place in range(len(c.rows))]
    return Column(f"front ({name})", marks, [float(mark == "yes") for mark in marks], numeric=False)


def plain_text(columns: Sequence[Column]) -> str:
    """For the console: aligned."""
    widths = [max(map(len, [column.head, *column.cells])) for column in columns]

    def line(cells: Sequence[str]) -> str:
        parts = zip(cells, widths, columns, strict=True)
        return "  ".join(
            cell.rjust(width) if column.numeric else cell.ljust(width) for cell, width, column in parts
        ).rstrip()

    rows = zip(*(column.cells for column in columns), strict=True)
    return "\n".join([line([column.head for column in columns]), *map(line, rows)])


def markdown(columns: Sequence[Column]) -> str:
    """For a page of documentation."""
    heads = "| " + " | ".join(_escaped(column.head) for column in columns) + " |"
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = ["| " + " | ".join(map(_escaped, cells)) + " |" for cells in rows]
    return "\n".join([heads, "|" + "---|" * len(columns), *lines])


def _escaped(text: str) -> str:
    """Without what Markdown or HTML would obey."""
    for letter, instead in (("\\", "\\\\"), ("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`")):
        text = text.replace(letter, instead)
    return text


def csv_text(c: Comparison) -> str:
    """All figures in full precision, with keys by their whole names."""
    buffer = io.StringIO()
    partly = [cost for cost in c.costs if any(row.whole_cost(cost) is None for row in c.rows if row.finished)]
    records = [_csv_row(c, place, partly) for place in range(len(c.rows))]
    heads = list(dict.fromkeys(head for record in records for head in record))
    writer = csv.DictWriter(buffer, heads, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return buffer.getvalue()


def _csv_row(c: Comparison, place: int, partly: Sequence[Cost]) -> dict[str, Any]:
    """``partly``: costs that are not known of all rows whole."""
    row, difference = c.rows[place], c.differences[place]
    scores = row.scores(c.metric)
    record: dict[str, Any] = {key: name_of(value) for key, value in zip(c.keys, row.values, strict=True)}
    record |= {
        c.metric.name: row.mean(c.metric), f"{c.metric.name} spread": row.spread(c.metric),
        "standard_error": row.standard_error(c.metric), "recordings": row.tested(c.metric), "seeds": len(scores),
        "by_seed": " ".join(f"{name_of(seed)}:{value!r}" for seed, value in scores.items()),
    }  # fmt: skip
    for other in c.others:
        record |= {other.name: row.mean(other), f"{other.name} spread": row.spread(other)}
    if any(c.differences):
        record |= _csv_difference(c, difference)
    record |= {f"{cost.name} [{cost.unit}]": row.cost(cost) for cost in c.costs}
    record |= {f"{cost.name} known": row.told_cost(cost) if row.whole_cost(cost) is None else "all" for cost in partly}
    record |= {"finished": len(row.finished), "runs": len(row.records)}
    record |= {f"on front of {name}": place in front for name, front in c.fronts.items()}
    return record | {f"drift {layer}": distance for layer, distance in c.drifts[place].items()}


def _csv_difference(c: Comparison, difference: Difference | None) -> dict[str, Any]:
    if difference is None:
        return {"reference": ""}
    interval = difference.interval
    return {
        "reference": difference.reference.name(c.keys), "difference": interval.mean, "low": interval.low,
        "high": interval.high, "confidence": c.request.confidence, "method": interval.method,
        "mcnemar_p": interval.p_value, "margin": c.request.margin, "as_good": difference.verdict,
    }  # fmt: skip
