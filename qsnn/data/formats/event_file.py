"""What the readers of event files share: one kind of error, and the checks of place and time."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qsnn.data.recording import Events
from qsnn.errors import DataError


def broken(path: Path, offset: int, found: str, expected: str) -> DataError:
    """The error of a file whose content is not what its format promises, from ``offset`` (bytes) on."""
    return DataError(f"{path}, byte {offset}: {found}, expected {expected}; the file is damaged: download it again")


def time_goes_backward(path: Path, offset: int, t: NDArray[np.int64], index: int) -> DataError:
    """The error of event ``index``, at byte ``offset``, that is earlier than the one before it."""
    return DataError(
        f"{path}, byte {offset}: an event at {t[index]} us follows one at {t[index - 1]} us, expected times that never go "
        "backward; the file is damaged, or its camera lost the order: dataset.sort_time=true sorts the events by time"
    )


def time_set_back(path: Path, offset: int, t: NDArray[np.int64], index: int) -> DataError:
    """The error of event ``index``, at byte ``offset``, from which on all times are earlier than the one before it."""
    return DataError(
        f"{path}, byte {offset}: an event at {t[index]} us follows one at {t[index - 1]} us, and time goes on from there: the "
        "camera's clock was set back, or the file is damaged; dataset.sort_time=true takes what follows as recorded later"
    )


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


def events_between(events: Events, first: int, behind: int) -> Events:
    """The events of index ``first`` to before ``behind``."""
    part = slice(first, behind)
    return Events(events.t[part], events.x[part], events.y[part], events.polarity[part])
