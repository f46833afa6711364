"""metrics.jsonl: one JSON object a logged epoch, free of clock times, so that equal runs write equal files."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from qsnn.errors import naming
from qsnn.files import write_atomically

log = logging.getLogger(__name__)


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of the file, in order. What is no row is left out: foreign lines, and the one that a killed process left
    unfinished, which alone is not worth a word."""
    if not path.is_file():
        return
    foreign, lines = 0, path.read_bytes().splitlines(keepends=True)
    for line in lines:
        row = _row(line)
        if row is not None:
            yield row
        elif line is not lines[-1] or line.endswith(b"\n"):
            foreign += 1
    if foreign:
        log.warning("%s: left out %d lines that are no rows of metrics with an epoch", path, foreign)


def _row(line: bytes) -> dict[str, Any] | None:
    """The object of a line, if it has an epoch, which count from 1."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):  # of its text or its encoding
        return None
    known = isinstance(row, dict) and type(row.get("epoch")) is int and row["epoch"] > 0
    return row if known else None


def open_metrics(path: Path, epoch: int) -> TextIO:
    """Open for appending after ``epoch``: what a run wrote between its last checkpoint and its death is dropped."""
    kept = [json.dumps(row) + "\n" for row in read_metrics(path) if row["epoch"] <= epoch]
    write_atomically(path, lambda file: file.write("".join(kept).encode()))
    return open(path, "a", encoding="utf-8")


def append_metrics(file: TextIO, row: dict[str, Any]) -> None:
    """Write one line and hand it to the operating system, so that a killed process loses none. Raises OSError with its name."""
    with naming(Path(file.name)):
        file.write(json.dumps(row) + "\n")
        file.flush()
