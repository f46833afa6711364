"""A prepared event data set: a folder of flat files that are memory-mapped, so that it needs no memory of its own.

time.bin       uint32 an event: microseconds since its recording's start
address.bin    uint16 (uint32 for large sensors) an event: (y * width + x) * 2 + (1 if ON)
recordings.npz a row a recording: label, group, is_test, name, duration, and where its events begin
header.json    version, what the cache is of, remarks of its reader, sizes and checksums of the three files and of itself;
               written last

A cache is input like any other file. All checksums are compared when it is opened, which takes one second a gigabyte, once in
a process as long as the files stay the same; checksums tell damage, not malice, so `raw` also looks at what it hands out:
no address leaves the sensor, no time its recording or window.
"""

import functools
import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn.data.formats.guard import declared_array, refuse_packed
from qsnn.data.recording import Events
from qsnn.errors import DataError

CACHE_VERSION = 1
HEADER, TIME, ADDRESS, RECORDINGS = "header.json", "time.bin", "address.bin", "recordings.npz"
TIME_TYPE = np.dtype("<u4")
_CHUNK = 2**22
MAX_HEADER_BYTES, MAX_SIDE, MAX_PIXELS = 2**20, 2**15 - 1, 2**22  # x and y are int16; cameras have a million pixels
_COLUMNS = {"labels": "i", "groups": "U", "names": "U", "is_test": "b", "durations": "i", "offsets": "i"}


@dataclass(frozen=True)
class EventDataset:
    """N recordings of a data set, on disk.

    ``name``, ``classes``, ``sensor`` (height, width) and ``in_time``: as in `EventSource`. ``labels`` [N] int64, ``groups``
    [N] str, ``names`` [N] str, ``is_test`` [N] bool; ``durations`` [N] int64: microseconds, to behind the last event.
    ``offsets`` [N + 1] int64: where each recording's events begin in ``time`` and ``address``, all recordings' events one
    behind the other, memory-mapped. ``remarks``: what the reader skipped, sorted or joined, sums over all files.
    ``fingerprint``: a hash of all of this. ``folder``: the cache.
    """

    folder: Path
    fingerprint: str
    name: str
    classes: tuple[str, ...]
    sensor: tuple[int, int]
    in_time: bool
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    names: NDArray[np.str_]
    is_test: NDArray[np.bool_]
    durations: NDArray[np.int64]
    offsets: NDArray[np.int64]
    time: NDArray[np.uint32]
    address: NDArray[Any]
    remarks: dict[str, int] = field(default_factory=dict)

    @property
    def num_recordings(self) -> int:
        """N."""
        return len(self.labels)

    def raw(self, index: int, start: int = 0, end: int | None = None) -> tuple[NDArray[np.uint32], NDArray[Any]]:
        """Times and addresses of recording ``index`` from ``start`` to before ``end`` (microseconds), as they lie on disk.

        Raises DataError where the disk holds times or addresses that cannot be there.
        """
        part = slice(*self.offsets[index : index + 2].tolist())
        time, address = self.time[part], self.address[part]
        bounds = np.array(
            [max(start, 0), max(0, min(end or 0, 2**32 - 1))], dtype=TIME_TYPE
        )  # one type: nothing is copied
        first, behind = (int(place) for place in np.searchsorted(time, bounds))
        chosen = slice(first, None if end is None else behind)
        self._check_inside(time[chosen], address[chosen], start, int(self.durations[index]) if end is None else end)
        return time[chosen], address[chosen]

    def _check_inside(self, time: NDArray[np.uint32], address: NDArray[Any], start: int, end: int) -> None:
        if not len(time):
            return
        if int(address.max()) >= 2 * self.sensor[0] * self.sensor[1]:
            raise damaged(self.folder / ADDRESS, f"an address is outside of the sensor {self.sensor}")
        if int(time.min()) < start or int(time.max()) >= end:
            raise damaged(self.folder / TIME, "times go backward or beyond their recording's end")

    def events(self, index: int) -> Events:
        """All events of recording ``index``."""
        time, address = self.raw(index)
        y, x = np.divmod(address >> 1, self.sensor[1])
        return Events(time.astype(np.int64), x.astype(np.int16), y.astype(np.int16), (address & 1).astype(bool))


def address_type(sensor: tuple[int, int]) -> np.dtype[Any]:
    """The type that an address of a sensor (height, width) needs."""
    return np.dtype("<u2" if 2 * sensor[0] * sensor[1] <= 2**16 else "<u4")


def checksum(content: Any) -> str:
    """The hash of a header's entries."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def file_checksum(path: Path) -> str:
    """The hash of a file's content."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@functools.lru_cache(maxsize=256)
def _checksum_as_of(path: Path, stamp: tuple[int, ...]) -> str:
    """`file_checksum`, once in a process for a file of this ``stamp``."""
    return file_checksum(path)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file is written or replaced."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def open_dataset(folder: Path) -> EventDataset:
    """Open a cache. Checked are the header, all files' sizes and checksums, and the table of recordings.

    Raises:
        DataError: the folder is no cache, or one of another version, or damaged.
    """
    header = _read_header(folder)
    for name, facts in header["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            raise damaged(path, f"it does not have {facts['bytes']} bytes")
        if _checksum_as_of(path.absolute(), _stamp(path)) != facts["checksum"]:
            raise damaged(path, "its checksum is another")
    sensor = (header["sensor"][0], header["sensor"][1])
    events = header["files"][TIME]["bytes"] // TIME_TYPE.itemsize
    wanted = {TIME: TIME_TYPE.itemsize * events, ADDRESS: address_type(sensor).itemsize * events}
    if not events or any(header["files"][name]["bytes"] != size for name, size in wanted.items()):
        raise damaged(folder / HEADER, "its files do not have one time and one address for each event")
    return EventDataset(
        folder=folder,
        fingerprint=header["checksum"],
        name=header["name"],
        classes=tuple(header["classes"]),
        sensor=sensor,
        in_time=header["in_time"],
        remarks=header.get("remarks", {}),  # caches of generated recordings were first written without
        **_read_table(folder / RECORDINGS, len(header["classes"]), events),
        time=np.memmap(folder / TIME, TIME_TYPE, "r"),
        address=np.memmap(folder / ADDRESS, address_type(sensor), "r"),
    )


def damaged(path: Path, reason: str) -> DataError:
    """The error of a cache that cannot be used."""
    return DataError(f"{path} is not usable: {reason}; train and prepare make {path.parent} again from the data set")


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    try:
        if path.stat().st_size > MAX_HEADER_BYTES:
            raise damaged(path, f"it has more than {MAX_HEADER_BYTES} bytes")
        header = json.loads(path.read_bytes())
        entries = {name: value for name, value in header.items() if name != "checksum"}
        if header["version"] != CACHE_VERSION:
            raise damaged(path, f"it has version {ascii(header['version'])[:20]}, expected {CACHE_VERSION}")
        if header["checksum"] != checksum(entries):
            raise damaged(path, "its checksum is another")
        if not _is_header(header):
            raise damaged(path, "an entry is missing, or not what a cache has")
    except OSError as error:
        raise DataError(f"{folder} is not a prepared data set: {HEADER}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, f"it is no header of a cache ({type(error).__name__})") from error
    return header


def _is_header(header: dict[str, Any]) -> bool:
    """Whether the entries have the types and sizes that a cache has. Raises TypeError, KeyError, ValueError for some that do
    not."""
    height, width = header["sensor"]
    sides = all(type(side) is int and 0 < side <= MAX_SIDE for side in (height, width)) and height * width <= MAX_PIXELS
    texts = [header["name"], *header["classes"]]
    files = header["files"].items()
    return (
        sides
        and type(header["in_time"]) is bool
        and len(texts) > 1
        and all(isinstance(text, str) for text in texts)
        and {name for name, _ in files} == {TIME, ADDRESS, RECORDINGS}
        and all(type(facts["bytes"]) is int and isinstance(facts["checksum"], str) for _, facts in files)
        and all(type(count) is int and name.isprintable() for name, count in header.get("remarks", {}).items())
    )


def _read_table(path: Path, num_classes: int, num_events: int) -> dict[str, NDArray[Any]]:
    """The columns, each value in its range."""
    try:
        data = path.read_bytes()
        refuse_packed(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as file:
                    declared_array(file, entry.file_size)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            table = {name: file[name] for name in _COLUMNS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise damaged(path, f"it is no table of recordings ({type(error).__name__})") from error
    if not _is_table(table, num_classes, num_events):
        raise damaged(path, "a column is not what a table of recordings has")
    return table


def _is_table(table: dict[str, NDArray[Any]], num_classes: int, num_events: int) -> bool:
    """Whether the columns have one length, labels below ``num_classes``, and offsets from 0 up to ``num_events``."""
    count = table["labels"].shape
    shapes = {**dict.fromkeys(_COLUMNS, count), "offsets": (*(size + 1 for size in count),)}
    if len(count) != 1 or any(
        table[n].dtype.kind != kind or table[n].shape != shapes[n] for n, kind in _COLUMNS.items()
    ):
        return False
    labels, durations, offsets = (table[name] for name in ("labels", "durations", "offsets"))
    inside = count[0] > 0 and labels.min() >= 0 and labels.max() < num_classes
    spans = durations.size > 0 and durations.min() >= 0 and durations.max() <= 2**32
    return bool(inside and spans and offsets[0] == 0 and offsets[-1] == num_events and (np.diff(offsets) >= 0).all())
