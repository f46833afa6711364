"""metrics.csv: a row a logged epoch, a column a figure, for spreadsheets."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from qsnn.errors import RunFolderError, naming
from qsnn.files import write_atomically
from qsnn.quantization import Format
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.pictures import Picture

FILE, EPOCH = "metrics.csv", "epoch"
MOST = 2**16
Row = dict[str, str]


class CsvLog:
    """Appends whole lines. Figures that come later, such as those of health, become columns at the end: the file is then
    written anew, atomically. Opened after ``run.epoch``: rows of later epochs, of a process that was killed, are dropped."""

    shows_pictures = shows_histograms = False

    def __init__(self, run: RunIdentity) -> None:
        self._path = run.folder / FILE
        rows = list(kept_rows(self._path, run.epoch))
        self._columns = list(dict.fromkeys([EPOCH, *(name for row in rows for name in row)]))
        self._rewrite(rows)

    def scalars(self, values: dict[str, float], epoch: int) -> None:
        """A row."""
        row = {EPOCH: str(epoch), **{tag: repr(float(value)) for tag, value in values.items()}}
        new = [name for name in row if name not in self._columns]
        if new:
            rows = list(kept_rows(self._path, epoch - 1))
            self._columns += new
            self._rewrite([*rows, row])
        else:
            with naming(self._path), open(self._path, "a", encoding="utf-8", newline="") as file:
                file.write(self._text([row], header=False))

    def _rewrite(self, rows: list[Row]) -> None:
        text = self._text(rows, header=True)
        write_atomically(self._path, lambda file: file.write(text.encode()))

    def _text(self, rows: list[Row], header: bool) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, restval="", lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def picture(self, tag: str, picture: Picture, epoch: int) -> None:
        """Nothing."""

    def histogram(self, tag: str, values: Tensor, fmt: Format | None, epoch: int) -> None:
        """Nothing."""

    def scores(self, values: dict[str, float], epoch: int) -> None:
        """Nothing: they are in summary.json, and the epoch has its row."""

    def flush(self) -> None:
        """Nothing: every row is handed over."""

    def close(self, end: str) -> None:
        """Nothing: no file is open."""


def check_csv(folder: Path) -> None:
    """Raise RunFolderError where something else than figures of a run is called metrics.csv: it is not written over."""
    path = folder / FILE
    if not os.path.lexists(path) or (path.is_file() and _begins(path) == EPOCH):
        return
    what = "is a folder" if path.is_dir() else "does not begin with a column epoch, as the figures of a run do"
    raise RunFolderError(f"{path} {what}: move it away, or leave csv out of logging.to")


def _begins(path: Path) -> str:
    """The name of the first column."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(MOST).rstrip("\n").split(",")[0].strip('"')


def kept_rows(path: Path, epoch: int) -> Iterator[Row]:
    """The rows of a file up to ``epoch``, without empty cells; what is no row of an epoch is left out, such as the line that a
    killed process left unfinished."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n") and "\0" not in line]
    for row in csv.DictReader(whole):
        number = row.get(EPOCH) or ""
        if None not in row and None not in row.values() and number.isdecimal() and 0 < int(number) <= epoch:
            yield {name: value for name, value in row.items() if value}
