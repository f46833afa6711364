"""Writes the cache of an event data set: in a folder of another name, which gets its own when everything is on the disk."""

import hashlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events.dataset import (
    ADDRESS,
    CACHE_VERSION,
    HEADER,
    RECORDINGS,
    TIME,
    TIME_TYPE,
    address_type,
    checksum,
)
from qsnn.data.events.source import EventSource
from qsnn.data.formats.event_file import backward, outside
from qsnn.data.recording import Events, Recording
from qsnn.errors import DataError

MAX_TIME = 2**32  # microseconds, 71 minutes: a recording's times are stored in 32 bits


class _HashedFile:
    """A new file whose size and checksum are known when it is closed."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("xb")
        self._digest = hashlib.blake2b(digest_size=16)
        self._bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._bytes += len(data)

    def close(self) -> dict[str, Any]:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return {"bytes": self._bytes, "checksum": self._digest.hexdigest()}

    def abandon(self) -> None:
        self._file.close()


def write_cache(source: EventSource, recordings: Iterator[Recording], folder: Path, temporary: Path) -> None:
    """Write ``recordings`` of ``source`` into the new folder ``temporary``, then call it ``folder``.

    Whenever it is stopped, ``folder`` does not exist or is complete; ``temporary`` is removed unless the process is killed.

    Raises:
        DataError: the source's own errors, or a recording that is not what `EventSource` promises.
        OSError: the disk is full, or the folder cannot be written.
    """
    temporary.mkdir(parents=True)
    try:
        _write_files(source, recordings, temporary)
        os.rename(temporary, folder)
        _sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_files(source: EventSource, recordings: Iterator[Recording], folder: Path) -> None:
    time, address = _HashedFile(folder / TIME), _HashedFile(folder / ADDRESS)
    table = _Table()
    try:
        for recording in recordings:
            check_recording(recording, source)
            events = recording.events
            time.write(events.t.astype(TIME_TYPE).tobytes())
            address.write(encode(events, source.sensor).tobytes())
            table.add(recording)
        if not table.counts or not sum(table.counts):
            raise DataError(f"data set {source.name} has no events to prepare")
        files = {TIME: time.close(), ADDRESS: address.close()}
    finally:
        time.abandon()
        address.abandon()
    rows = _HashedFile(folder / RECORDINGS)
    rows.write(table.to_bytes())
    files[RECORDINGS] = rows.close()
    _write_header(source, files, table.remarks, folder)


def _write_header(
    source: EventSource, files: dict[str, dict[str, Any]], remarks: Mapping[str, int], folder: Path
) -> None:
    header: dict[str, Any] = {
        "version": CACHE_VERSION,
        "name": source.name,
        "classes": list(source.classes),
        "sensor": list(source.sensor),
        "in_time": source.in_time,
        "remarks": dict(sorted(remarks.items())),
        "files": files,
    }
    header["checksum"] = checksum(header)
    file = _HashedFile(folder / HEADER)
    file.write(json.dumps(header, indent=2).encode())
    file.close()
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def encode(events: Events, sensor: tuple[int, int]) -> NDArray[Any]:
    """Addresses of events inside the sensor: (y * width + x) * 2 + (1 if ON)."""
    pixel = events.y.astype(np.uint32) * np.uint32(sensor[1]) + events.x.astype(np.uint32)
    return (pixel * np.uint32(2) + events.polarity).astype(address_type(sensor))


def check_recording(recording: Recording, source: EventSource) -> None:
    """Raise DataError unless a recording is what `EventSource` promises."""
    t, x, y, polarity = recording.events
    where = f"data set {source.name}, recording {recording.name}"
    if not len(t) == len(x) == len(y) == len(polarity):
        raise DataError(
            f"{where}: {len(t)} times, {len(x)} x, {len(y)} y and {len(polarity)} polarities, expected one length"
        )
    if not 0 <= recording.label < len(source.classes):
        raise DataError(f"{where}: label {recording.label}, expected 0..{len(source.classes) - 1}")
    index = outside(x, y, source.sensor)
    if index is not None:
        raise DataError(f"{where}: an event at x = {x[index]}, y = {y[index]} is outside of the sensor {source.sensor}")
    if len(t) and (backward(t) is not None or t[0] < 0):
        raise DataError(f"{where}: times start below 0 or go backward")
    if len(t) and t[-1] >= MAX_TIME:
        raise DataError(f"{where} lasts {t[-1] / 1e6:g} s, expected at most {MAX_TIME / 1e6:g} s: its file is damaged")


class _Table:
    """The rows of recordings.npz, and the sums of all remarks."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.remarks: Counter[str] = Counter()
        self._rows: list[tuple[int, str, str, bool, int]] = []

    def add(self, recording: Recording) -> None:
        t = recording.events.t
        self.counts.append(len(t))
        self.remarks.update(recording.remarks)
        duration = int(t[-1]) + 1 if len(t) else 0
        self._rows.append((recording.label, recording.group, recording.name, recording.is_test, duration))

    def to_bytes(self) -> bytes:
        labels, groups, names, is_test, durations = zip(*self._rows, strict=True)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            labels=np.array(labels, dtype=np.int64),
            groups=np.array(groups),
            names=np.array(names),
            is_test=np.array(is_test, dtype=bool),
            durations=np.array(durations, dtype=np.int64),
            offsets=np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64),
        )
        return buffer.getvalue()
