"""What a search has found: the front, what is within reach of full precision, and the answer; as files and as text."""

import csv
import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from qsnn.config.searching.space import Settings, value_text
from qsnn.config.searching.trials import Reached
from qsnn.files import write_atomically
from qsnn.hardware.memory import KINDS

COMPLETE, FAILED, KILLED, INFEASIBLE, RUNNING = "complete", "failed", "killed", "infeasible", "running"
ROUNDING, MOST_REASONS = 1e-12, 5


class Row(NamedTuple):
    """A trial: its number, settings and folder; what became of it, and why; ``reached`` of a complete one."""

    number: int
    settings: Settings
    folder: str
    status: str
    reason: str = ""
    reached: Reached | None = None


class Found(NamedTuple):
    """All of a search. ``limit``: the largest error that is within reach of ``reference``; None: any is."""

    objectives: Sequence[str]
    rows: Sequence[Row]
    reference: Reached | None
    within: float | None

    @property
    def limit(self) -> float | None:
        """The reference's error and what may be added."""
        return None if self.reference is None or self.within is None else self.reference.error + self.within

    def complete(self) -> list[tuple[Row, Reached]]:
        """The trials that reached something."""
        return [(row, row.reached) for row in self.rows if row.reached is not None]

    def is_within(self, reached: Reached) -> bool:
        """Whether the error is small enough."""
        return self.limit is None or reached.error <= self.limit + ROUNDING

    def front(self) -> list[int]:
        """The numbers of the trials that no other one beats in one objective and equals in all."""
        values = {row.number: [reached.value(name) for name in self.objectives] for row, reached in self.complete()}
        return [n for n, mine in values.items() if not any(_beats(other, mine) for other in values.values())]

    @property
    def memory(self) -> str:
        """The kind of memory that is asked about: the first that is to be small, or that of inference."""
        return next((name for name in self.objectives if name in KINDS), "inference")

    def best(self) -> tuple[Row, Reached] | None:
        """The trial of fewest bits of those that are within reach; of equals the one of the smaller error."""
        kept = [(row, reached) for row, reached in self.complete() if self.is_within(reached)]
        return min(kept, key=lambda pair: (pair[1].bits[self.memory], pair[1].error, pair[0].number), default=None)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)


def error_text(reached: Reached) -> str:
    """``4.2 % ± 0.9``: with the standard error, if there is one."""
    deviation = "" if reached.standard_error is None else f" ± {100 * reached.standard_error:.2f}"
    return f"{100 * reached.error:.2f}{deviation} %"


def settings_text(settings: Settings) -> str:
    """``weight_bits=2 state_bits=6``."""
    return " ".join(f"{name}={value_text(value)}" for name, value in settings.items())


def answer(found: Found) -> str:
    """The sentence that a search is for."""
    best, kind = found.best(), found.memory
    if found.limit is None or found.reference is None:
        what = "fewest bits, whatever the error"
    else:
        points = 100 * (found.within or 0)
        allowed = f"{points:g} point{'' if points == 1 else 's'}"
        what = f"fewest bits within {allowed} of full precision ({error_text(found.reference)})"
    if best is None:
        nearest = min((reached for _, reached in found.complete()), key=lambda one: one.error, default=None)
        return f"{what}: none of the settings tried; " + (
            "none was finished" if nearest is None else f"the smallest error is {error_text(nearest)}"
        )
    row, reached = best
    beside = ""
    if found.reference is not None:
        share = reached.bits[kind] / found.reference.bits[kind]
        beside = f", {share:.1%} of full precision's {found.reference.bits[kind]:,}"
    bits = f"{reached.bits[kind]:,} bits of {'memory in ' if kind != 'weights' else ''}{kind}{beside}"
    return f"{what}: {settings_text(row.settings)}: {bits}; error {error_text(reached)}; in {row.folder}"


def infeasible_lines(found: Found) -> list[str]:
    """Why settings are none that a run could start with: a line a reason, with how many and the first."""
    by_reason: dict[str, list[Row]] = {}
    for row in found.rows:
        if row.status == INFEASIBLE:
            by_reason.setdefault(row.reason, []).append(row)
    lines = []
    for reason, rows in list(by_reason.items())[:MOST_REASONS]:
        others = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        lines.append(f"infeasible: {settings_text(rows[0].settings)}{others}: {reason}")
    more = len(by_reason) - MOST_REASONS
    return [*lines, f"infeasible: {more} more reasons are in front.csv"] if more > 0 else lines


def _cells(found: Found, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: complete trials by their bits, then the others; full precision first, if there is one."""
    front, kind = found.front(), found.memory
    head = [
        "trial",
        *names,
        "error",
        "standard_error",
        "spread",
        *(f"{k}_bits" for k in KINDS),
        "front",
        "within",
        "status",
    ]
    rows = []
    if found.reference is not None:
        rows.append(["full precision", *("" for _ in names), *_numbers(found.reference), "", "", "reference"])
    for row in sorted(
        found.rows, key=lambda r: (r.reached is None, r.reached.bits[kind] if r.reached else 0, r.number)
    ):
        values = [value_text(row.settings[name]) for name in names]
        marks = ["", ""] if row.reached is None else [_yes(row.number in front), _yes(found.is_within(row.reached))]
        status = f"{row.status}: {row.reason}" if row.reason else row.status
        rows.append([str(row.number), *values, *_numbers(row.reached), *marks, status])
    return head, rows


def _numbers(reached: Reached | None) -> list[str]:
    if reached is None:
        return [""] * (3 + len(KINDS))
    errors = (reached.error, reached.standard_error, reached.spread)
    return [
        *("" if value is None else f"{value:.6g}" for value in errors),
        *(str(reached.bits[kind]) for kind in KINDS),
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def write_tables(folder: Path, found: Found, names: Sequence[str]) -> None:
    """front.csv and front.md. Raises OSError."""
    head, rows = _cells(found, names)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)
    marked = "`front`: no other trial is better in one objective and no worse in the others"
    content = f"{answer(found)}\n\n{table}\n\n{marked} ({', '.join(found.objectives)}).\n"
    for name, body in (("front.csv", text.getvalue()), ("front.md", content)):
        write_atomically(folder / name, partial(_write_text, body))


def _write_text(body: str, file: IO[bytes]) -> None:
    file.write(body.encode())


def plain(found: Found) -> dict[str, Any]:
    """For search.json."""
    best, front = found.best(), found.front()
    reference = None if found.reference is None else found.reference._asdict()
    trials = [
        {
            **row._asdict(),
            "reached": None if row.reached is None else row.reached._asdict(),
            "front": row.number in front,
        }
        for row in found.rows
    ]
    chosen = None if best is None else best[0].number
    return {"reference": reference, "limit": found.limit, "best": chosen, "answer": answer(found), "trials": trials}


def console_table(found: Found) -> str:
    """The front by bits, for reading."""
    front, kind = found.front(), found.memory
    rows = sorted((pair for pair in found.complete() if pair[0].number in front), key=lambda pair: pair[1].bits[kind])
    cells = [("trial", f"{kind} bits", "error", "within", "settings")]
    if found.reference is not None:
        cells.append(("full", f"{found.reference.bits[kind]:,}", error_text(found.reference), "", "full precision"))
    cells += [
        (str(row.number), f"{r.bits[kind]:,}", error_text(r), _yes(found.is_within(r)), settings_text(row.settings))
        for row, r in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
    return "\n".join(f"  {line}" for line in lines)
