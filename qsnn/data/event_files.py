"""What the readers of event files share: one kind of error, the text header, and the checks of place and time."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events import Events
from qsnn.errors import DataError

MAX_HEADER_BYTES = 2**22  # jAER writes all its settings there: some hundred kilobytes
_HEADER_LINES = re.compile(rb"(?:#(?!!END-HEADER)[^\n]*\n)*")
_HEADER_END = re.compile(rb"#!END-HEADER[ \t]*\r?\n")


def broken(path: Path, offset: int, found: str, expected: str) -> DataError:
    """The error of a file whose content is not what its format promises, from ``offset`` (bytes) on."""
    return DataError(f"{path}, byte {offset}: {found}, expected {expected}; the file is damaged: download it again")


def time_goes_backward(path: Path, offset: int, t: NDArray[np.int64], index: int) -> DataError:
    """The error of event ``index``, at byte ``offset``, that is earlier than the one before it."""
    return DataError(
        f"{path}, byte {offset}: an event at {t[index]} us follows one at {t[index - 1]} us, expected times that never go "
        "backward; the file is damaged, or its camera lost the order: dataset.sort_time=true sorts the events by time"
    )


def end_of_header(data: bytes, version: str, path: Path) -> int:
    """Where the events of an AEDAT file begin: behind its lines of #, up to and with ``#!END-HEADER`` where it has one.

    ``version``: of the format, as in the first line, such as 3.1. Raises DataError for another version, another kind of
    file, or a header that does not end.
    """
    first_line = f"#!AER-DAT{version}"
    start = data[:64].split(b"\n")[0].strip()
    if start != first_line.encode():
        raise broken(path, 0, f"the first line is {start.decode('latin1')!a}", f"{first_line!r}")
    lines = _HEADER_LINES.match(data, 0, MAX_HEADER_BYTES)
    end = lines.end() if lines else 0
    marked = _HEADER_END.match(data, end)
    end = marked.end() if marked else end
    if data[end : end + 1] == b"#" and not marked:
        expected = f"a line that ends within the {MAX_HEADER_BYTES} bytes that a header may have"
        raise broken(path, end, f"a header line does not end in the {len(data)} bytes of the file", expected)
    if end == len(data):
        raise broken(path, end, "the file ends behind its header", "events")
    return end


def first_true(wrong: NDArray[np.bool_]) -> int | None:
    """The index of the first True, or None."""
    index = int(wrong.argmax()) if wrong.size else 0
    return index if wrong.size and wrong[index] else None


def outside(x: NDArray[np.int16], y: NDArray[np.int16], sensor: tuple[int, int]) -> int | None:
    """The index of the first event outside of the sensor (height, width), or None."""
    if not x.size or (min(x.min(), y.min()) >= 0 and x.max() < sensor[1] and y.max() < sensor[0]):
        return None
    return first_true((x < 0) | (x >= sensor[1]) | (y < 0) | (y >= sensor[0]))


def backward(t: NDArray[np.int64]) -> int | None:
    """The index of the first event that is earlier than the one before it, or None."""
    index = first_true(t[1:] < t[:-1])
    return None if index is None else index + 1


def sorted_by_time(events: Events) -> Events:
    """The events in the order of time; those of one time keep their order."""
    order = np.argsort(events.t, kind="stable")
    return Events(events.t[order], events.x[order], events.y[order], events.polarity[order])
