"""Spike trains in HDF5, in the layout of the Heidelberg data sets: variable-length arrays, one entry a recording.

spikes/times   [N] arrays of floats: seconds
spikes/units   [N] arrays of integers: the channel that spikes
labels         [N] integers
extra/speaker  [N] integers, perhaps not in every file

Cramer et al., "The Heidelberg Spiking Data Sets for the Systematic Evaluation of Spiking Neural Networks", 2020.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.formats.event_file import backward, first_true
from qsnn.data.formats.hdf5 import (
    ADVICE,
    Heaps,
    array_of,
    arrays_of,
    element_type,
    find_entry,
    integers_of,
    open_hdf5,
    reading,
    references_of,
)
from qsnn.errors import DataError

TIMES, UNITS, LABELS, SPEAKERS = "spikes/times", "spikes/units", "labels", "extra/speaker"
MAX_SECONDS = 1000


class SpikeTrain(NamedTuple):
    """A recording: ``t``: microseconds, int64, not decreasing; ``unit``: int16; ``speaker``: None if the file does not say;
    ``num_late``: spikes that were earlier than the one before, and have been sorted."""

    t: NDArray[np.int64]
    unit: NDArray[np.int16]
    label: int
    speaker: int | None
    num_late: int


class _Arrays(NamedTuple):
    """Variable-length arrays of a file: ``references`` [N] to where they lie, ``dtype`` of their elements."""

    references: NDArray[np.void]
    dtype: np.dtype[Any]


class _Columns(NamedTuple):
    """Of a file: ``times`` and ``units``, not read yet, ``labels`` and ``speakers`` [N]."""

    times: _Arrays
    units: _Arrays
    labels: NDArray[np.int64]
    speakers: NDArray[np.int64] | None


def read_spikes(path: Path, num_units: int, num_labels: int, speakers: bool) -> Iterator[SpikeTrain]:
    """Read one recording after the other; the sizes of all are checked first.

    Args:
        path: the file.
        num_units: units are 0..num_units - 1.
        num_labels: labels are 0..num_labels - 1.
        speakers: whether extra/speaker must be there.

    Raises:
        DataError: names the file, the entry and what was expected: h5py is not installed, no HDF5, an entry that is missing or
            of another type, arrays of different lengths, more than the file can hold, a label, unit or time out of range.
    """
    with open_hdf5(path) as file, reading(path):
        columns = _columns(file, path, speakers)
    _check(columns, num_labels, path)
    heaps = Heaps(path), Heaps(path)
    for index in range(len(columns.labels)):
        t, unit = (
            heap.array(entry.references[index], entry.dtype) for heap, entry in zip(heaps, columns[:2], strict=True)
        )
        yield _train(columns, index, _microseconds(path, index, t), _channels(path, index, unit, num_units))


def num_spike_trains(path: Path) -> int:
    """How many recordings a file declares. Raises DataError."""
    with open_hdf5(path) as file, reading(path):
        return len(array_of(file, LABELS, path))


def _columns(file: Any, path: Path, speakers: bool) -> _Columns:
    """The entries. Raises DataError for one that is missing or of another type, or if they have different lengths."""
    entries = [arrays_of(file, name, path, kinds) for name, kinds in ((TIMES, "f"), (UNITS, "iu"))]
    there = speakers or find_entry(file, SPEAKERS, path) is not None
    numbers = integers_of(file, LABELS, path), integers_of(file, SPEAKERS, path) if there else None
    names = (TIMES, UNITS, LABELS, SPEAKERS)
    sizes = {name: len(entry) for name, entry in zip(names, [*entries, *numbers], strict=True) if entry is not None}
    if not sizes[TIMES] or len(set(sizes.values())) > 1:
        found = ", ".join(f"{size} {name}" for name, size in sizes.items())
        raise DataError(f"{path} has {found}, expected as many of each, at least one; {ADVICE}")
    times, units = (_Arrays(references_of(file, entry, path), element_type(entry)) for entry in entries)
    return _Columns(times, units, *numbers)


def _check(columns: _Columns, num_labels: int, path: Path) -> None:
    """Raise DataError for a wrong label, times and units that differ in number, or more of them than fit the file."""
    labels = columns.labels
    wrong = first_true((labels < 0) | (labels >= num_labels))
    if wrong is not None:
        raise DataError(
            f"{path}, recording {wrong}: its label is {labels[wrong]}, expected 0..{num_labels - 1}; {ADVICE}"
        )
    times, units = columns.times.references["length"], columns.units.references["length"]
    wrong = first_true(times != units)
    if wrong is not None:
        raise DataError(
            f"{path}, recording {wrong}: {times[wrong]} times and {units[wrong]} units, expected as many; {ADVICE}"
        )
    count, size = int(times.sum(dtype=np.int64)), path.stat().st_size
    if count * (columns.times.dtype.itemsize + columns.units.dtype.itemsize) > size:
        raise DataError(f"{path} declares {count} spikes, which do not fit into its {size} bytes; {ADVICE}")


def _microseconds(path: Path, index: int, t: NDArray[Any]) -> NDArray[np.int64]:
    seconds = t.astype(np.float64)
    wrong = first_true(~((seconds >= 0) & (seconds <= MAX_SECONDS)))  # of NaN, too
    if wrong is not None:
        raise DataError(
            f"{path}, recording {index}: a spike at {seconds[wrong]} s, expected 0..{MAX_SECONDS} s; {ADVICE}"
        )
    return np.rint(seconds * 1e6).astype(np.int64)


def _channels(path: Path, index: int, unit: NDArray[Any], num_units: int) -> NDArray[np.int16]:
    wrong = first_true((unit < 0) | (unit >= num_units))
    if wrong is not None:
        raise DataError(
            f"{path}, recording {index}: a spike of unit {unit[wrong]}, expected 0..{num_units - 1}; {ADVICE}"
        )
    return unit.astype(np.int16)


def _train(columns: _Columns, index: int, t: NDArray[np.int64], unit: NDArray[np.int16]) -> SpikeTrain:
    """The recording in the order of time; spikes of one time keep their order."""
    label, num_late = int(columns.labels[index]), 0
    speaker = None if columns.speakers is None else int(columns.speakers[index])
    if backward(t) is not None:
        order, num_late = np.argsort(t, kind="stable"), int((np.diff(t) < 0).sum())
        t, unit = t[order], unit[order]
    return SpikeTrain(t, unit, label, speaker, num_late)
