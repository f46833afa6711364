"""A prepared event data set: a folder of flat files that are memory-mapped, so that it needs no memory of its own.

time.bin       uint32 an event: microseconds since its recording's start
address.bin    uint16 (uint32 for large sensors) an event: (y * width + x) * 2 + (1 if ON)
recordings.npz a row a recording: label, group, is_test, name, duration, and where its events begin
header.json    version, what the cache is of, sizes and checksums of the three files and of itself; written last
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events import Events
from qsnn.errors import DataError

CACHE_VERSION = 1
HEADER, TIME, ADDRESS, RECORDINGS = "header.json", "time.bin", "address.bin", "recordings.npz"
TIME_TYPE = np.dtype("<u4")
_CHUNK = 2**22


@dataclass(frozen=True)
class EventDataset:
    """N recordings of a data set, on disk.

    ``name``, ``classes``, ``sensor`` (height, width) and ``in_time``: as in `EventSource`. ``labels`` [N] int64, ``groups``
    [N] str, ``names`` [N] str, ``is_test`` [N] bool; ``durations`` [N] int64: microseconds, to behind the last event.
    ``offsets`` [N + 1] int64: where each recording's events begin in ``time`` and ``address``, all recordings' events one
    behind the other, memory-mapped. ``fingerprint``: a hash of all of this. ``folder``: the cache.
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

    @property
    def num_recordings(self) -> int:
        """N."""
        return len(self.labels)

    def raw(self, index: int, start: int = 0, end: int | None = None) -> tuple[NDArray[np.uint32], NDArray[Any]]:
        """Times and addresses of recording ``index`` from ``start`` to before ``end`` (microseconds), as they lie on disk."""
        part = slice(*self.offsets[index : index + 2].tolist())
        time, address = self.time[part], self.address[part]
        bounds = np.array(
            [max(start, 0), max(0, min(end or 0, 2**32 - 1))], dtype=TIME_TYPE
        )  # one type: nothing is copied
        first, behind = (int(place) for place in np.searchsorted(time, bounds))
        chosen = slice(first, None if end is None else behind)
        return time[chosen], address[chosen]

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


def open_dataset(folder: Path, verify: bool = False) -> EventDataset:
    """Open a cache. Checked are the version, the header's checksum, all files' sizes and the table of recordings.

    ``verify``: also read all events and compare their checksums, about a second a gigabyte.

    Raises:
        DataError: the folder is no cache, or one of another version, or damaged.
    """
    header = _read_header(folder)
    for name, facts in header["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            raise damaged(path, f"it does not have {facts['bytes']} bytes")
        if (verify or name == RECORDINGS) and file_checksum(path) != facts["checksum"]:
            raise damaged(path, "its checksum is another")
    sensor = (int(header["sensor"][0]), int(header["sensor"][1]))
    return EventDataset(
        folder=folder,
        fingerprint=header["checksum"],
        name=header["name"],
        classes=tuple(header["classes"]),
        sensor=sensor,
        in_time=header["in_time"],
        **_read_table(folder / RECORDINGS),
        time=np.memmap(folder / TIME, TIME_TYPE, "r"),
        address=np.memmap(folder / ADDRESS, address_type(sensor), "r"),
    )


def damaged(path: Path, reason: str) -> DataError:
    """The error of a cache that cannot be used."""
    return DataError(
        f"{path} is not usable: {reason}; delete the folder {path.parent}, it is made again from the data set"
    )


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    try:
        header = json.loads(path.read_bytes())
        entries = {name: value for name, value in header.items() if name != "checksum"}
        if header["version"] != CACHE_VERSION:
            raise damaged(path, f"it has version {header['version']!r}, expected {CACHE_VERSION}")
        if header["checksum"] != checksum(entries):
            raise damaged(path, "its checksum is another")
    except OSError as error:
        raise DataError(f"{folder} is not a prepared data set: {HEADER}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, f"it is no header of a cache ({type(error).__name__})") from error
    return header


def _read_table(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("labels", "groups", "names", "is_test", "durations", "offsets")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise damaged(path, f"it is no table of recordings ({type(error).__name__})") from error
