"""What a comparison says in sentences: the answer, how it was found, and which runs are not in it."""

from collections.abc import Sequence

from qsnn.comparing.comparison import Comparison
from qsnn.comparing.costs import WEIGHTS
from qsnn.comparing.keys import name_of, several_tasks
from qsnn.comparing.metrics import figure
from qsnn.comparing.prices import told_lacks, told_tables
from qsnn.comparing.records import printable
from qsnn.comparing.rows import Row
from qsnn.comparing.tables import told_interval, told_margin, told_mean

MOST_ANSWERS, MOST_TOLD = 6, 20


def answers(c: Comparison) -> list[str]:
    """For each reference the cheapest row that is as good; then the best row of all."""
    compared: dict[int, list[int]] = {}
    references: dict[int, Row] = {}
    for place, difference in enumerate(c.differences):
        if difference is not None:
            references[id(difference.reference)] = difference.reference
            compared.setdefault(id(difference.reference), []).append(place)
    told = [_answer(c, references[which], places) for which, places in compared.items()][:MOST_ANSWERS]
    known = [(error, number) for number, row in enumerate(c.rows) if (error := c.error(row)) is not None]
    if len(known) > 1 and not several_tasks(record for record in c.records if record.finished):
        best = c.rows[min(known)[1]]
        told.append(f"Least error: {best.name(c.keys)}, {c.metric.label} {told_mean(best, c.metric)}.")
    return told


def _answer(c: Comparison, reference: Row, places: Sequence[int]) -> str:
    good = [place for place in places if _verdict(c, place) == "yes"]
    within = f"as good as {reference.name(c.keys)} ({told_mean(reference, c.metric)}) within {told_margin(c)}"
    if not good:
        open_ = sum(_verdict(c, place) == "undecided" for place in places)
        return f"None of {len(places)} is known to be {within}: {open_} undecided, {len(places) - open_} not as good."
    least = min(good, key=lambda place: c.rows[place].cost(WEIGHTS) or float("inf"))
    difference = c.differences[least]
    interval = "" if difference is None else f": {told_interval(c.metric, difference.interval)}"
    unit = " points" if c.metric.is_share else ""
    return f"Least weight memory {within}: {c.rows[least].name(c.keys)}{interval}{unit}."


def _verdict(c: Comparison, place: int) -> str:
    difference = c.differences[place]
    return "" if difference is None else difference.verdict


def methods(c: Comparison) -> list[str]:
    """How the numbers were made."""
    told = [
        f"A row is every run with the same {', '.join(c.keys) or 'config'}; its runs differ in seed and fold. Folds of one "
        "seed are pooled, each recording once; mean, ± (standard deviation) and the values one by one are over the seeds of "
        "which no run is lacking.",
    ]
    if any(row.standard_error(c.metric) is not None for row in c.rows):
        told.append(
            "Standard error: sqrt(p (1 - p) / n) of n test recordings; more seeds on the same recordings do not lessen it."
        )
    told += _method_of_differences(c)
    if several_tasks(record for record in c.records if record.finished):
        told.append("Experiments with different data sets: their rows are not compared with each other.")
    if c.fronts:
        told.append(
            "On the front: no other row has both less error and less of the cost; of means, whatever their errors, and of "
            "the rows whose runs all tell the cost."
        )
    return told + facts(c)


def facts(c: Comparison) -> list[str]:
    """Of which runs the figures are not, what they are to be compared with, of which versions they are, and what they lack."""
    finished = [record.summary for record in c.records if record.finished]
    silent = sorted({value for summary in finished if (value := figure(summary, "silent_distance")) is not None})
    told = _left_out(c)
    told += [f"Distance of a silent net: {', '.join(f'{value:.1f}' for value in silent)}."] if silent else []
    versions = [summary["versions"] for summary in finished if isinstance(summary.get("versions"), dict)]
    names = dict.fromkeys(", ".join(f"{name} {number}" for name, number in one.items()) for one in versions)
    told += [printable(f"Versions: {'; or '.join(names)}.")] if names else []
    of_rows = [record for row in c.rows for record in row.finished]
    told += [*filter(None, [told_tables(of_rows)]), *told_lacks(of_rows)]
    lost = f"{len(c.homeless)} of the unfinished runs belong to no row: too little is known of what they were to be."
    return [*told, lost] if c.homeless else told


def _left_out(c: Comparison) -> list[str]:
    """How many runs ``select=`` leaves out, and the folders that have none left: nothing else of the report shows them."""
    number = c.found - len(c.records)
    left = {folder for record in c.records for folder in record.below}
    empty = [str(folder) for folder in dict.fromkeys(c.request.folders) if folder not in left]
    none = f"; no run is left of {', '.join(empty)}" if empty else ""
    return [printable(f"select={c.request.select} leaves out {number} of {c.found} runs{none}.")] if number else []


def _method_of_differences(c: Comparison) -> list[str]:
    used = list(dict.fromkeys(d.interval.method for d in c.differences if d is not None))
    if not used:
        return []
    fixed = ", ".join(f"{key}={name_of(value)}" for key, value in c.reference.items())
    told = [
        f"Difference: {c.metric.label} of a row minus that of its reference, the row with {fixed} and equal in all else, "
        f"paired by seed; interval at {c.request.confidence:.0%}, without correction for looking at many rows, by: "
        f"{'; '.join(used)}. "
        f'"As good" is yes where all of the interval lies above {told_margin(c)} worse than the reference, no where all of it '
        "lies below, else undecided."
    ]
    if any("recordings" in method for method in used):
        told.append(
            "By recordings and seeds: the same test recordings under both; the variance of their differences plus that of the "
            "seeds', Student's t with Satterthwaite's degrees of freedom. Of one seed: nothing is said about other seeds; two "
            "say little about them, and the interval may be too narrow: take three."
        )
    return told


def unfinished(c: Comparison) -> list[str]:
    """A line for each run that is not finished: what became of it, which of all runs it is, where."""
    shared = set.intersection(*(set(record.overrides) for record in c.records)) if len(c.records) > 1 else set()
    lines = []
    for record in c.unfinished:
        name = printable(" ".join(text for text in record.overrides if text not in shared)) or "defaults"
        where = f", in {printable(str(record.folder))}" if record.folder else ""
        lines.append(f"{record.status}{f': {record.reason}' if record.reason else ''} [{name}{where}]")
    return lines


def first_of(lines: list[str]) -> list[str]:
    """The first `MOST_TOLD`, and how many more."""
    more = len(lines) - MOST_TOLD
    return [*lines[:MOST_TOLD], f"... and {more} more, all in report.html"] if more > 0 else lines
