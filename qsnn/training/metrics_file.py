"""metrics.jsonl: one JSON object a logged epoch, free of clock times, so that equal runs write equal files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from qsnn.training.checkpoint import write_atomically


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of the file, in order; a line that a killed process left unfinished ends it."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def open_metrics(path: Path, epoch: int) -> TextIO:
    """Open for appending after ``epoch``: what a run wrote between its last checkpoint and its death is dropped."""
    kept = [json.dumps(row) + "\n" for row in read_metrics(path) if row["epoch"] <= epoch]
    write_atomically(path, lambda file: file.write("".join(kept).encode()))
    return open(path, "a", encoding="utf-8")


def append_metrics(file: TextIO, row: dict[str, Any]) -> None:
    """Write one line and hand it to the operating system, so that a killed process loses none."""
    file.write(json.dumps(row) + "\n")
    file.flush()
