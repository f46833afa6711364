"""The text files of the DVS128 Gesture release: labels of a recording, and lists of recordings."""

from pathlib import Path
from typing import NamedTuple

from qsnn.data.formats.guard import read_bytes
from qsnn.errors import DataError

COLUMNS = "class,startTime_usec,endTime_usec"
_MAX_TIME = 2**62  # what 31 bits and the overflow counter of the recordings can hold


class Label(NamedTuple):
    """A gesture: its class, counted from 1, start and end in microseconds, and the line of the file."""

    class_number: int
    start: int
    end: int
    line: int


def read_labels(path: Path, num_classes: int) -> list[Label]:
    """Read a ``_labels.csv``: a line of column names, then a line a gesture. Raises DataError, naming the line."""
    lines = _lines(path)
    header = ",".join(cell.strip() for cell in lines[0][1].split(",")) if lines else ""
    if header != COLUMNS:
        raise DataError(f"{path}, byte 0: the first line is {header[:80]!a}, expected {COLUMNS!r}")
    labels = [_label(text, number, path, num_classes) for number, text in lines[1:]]
    if not labels:
        raise DataError(f"{path} has no line behind its column names, expected one for each gesture")
    return labels


def read_trials(path: Path) -> list[str]:
    """Read a list of recordings, one name of an .aedat file a line. Raises DataError."""
    names = _lines(path)
    for number, name in names:
        if not name.endswith(".aedat") or Path(name).name != name:
            raise DataError(f"{path}, line {number}: {name[:80]!a} is not the name of an .aedat file beside the list")
    if not names:
        raise DataError(f"{path} lists nothing, expected names of .aedat files, one a line")
    return [name for _, name in names]


def _lines(path: Path) -> list[tuple[int, str]]:
    """The lines that are not blank, and their numbers from 1."""
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, byte {error.start}: {data[error.start]:#x}, expected text") from error
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _label(text: str, line: int, path: Path, num_classes: int) -> Label:
    cells = [cell.strip() for cell in text.split(",")]
    if len(cells) != 3 or not all(cell.isascii() and cell.isdigit() and len(cell) < 20 for cell in cells):
        raise DataError(f"{path}, line {line}: {text[:80]!a}, expected three whole numbers: {COLUMNS}")
    label = Label(int(cells[0]), int(cells[1]), int(cells[2]), line)
    if not 1 <= label.class_number <= num_classes:
        raise DataError(f"{path}, line {line}: class {label.class_number}, expected 1..{num_classes}")
    if not label.start < label.end < _MAX_TIME:
        raise DataError(f"{path}, line {line}: from {label.start} to {label.end} us, expected an end after the start")
    return label
