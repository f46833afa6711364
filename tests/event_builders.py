"""Event files byte by byte, small data sets in a folder, and a source that is not on disk. Nothing here uses qsnn's own
writers or readers, so that a mistake in both cannot hide."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.recording import Events, Recording

AEDAT3_HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
AEDAT2_HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n# Timestamps tick is 1 us\r\n"
SUITS = ("club", "diamond", "heart", "spade")


def random_events(seed: int, num_events: int = 200, size: int = 128, end: int = 1_000_000) -> Events:
    """Events at random places and times below ``end``."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(0, end, num_events))
    x, y = (rng.integers(0, size, num_events).astype(np.int16) for _ in range(2))
    return Events(t, x, y, rng.random(num_events) < 0.5)


def same_events(one: Events, other: Events) -> bool:
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def aedat3_packet(
    events: Events, *, overflow: int = 0, source: int = 1, valid: list[bool] | None = None, **fields: int
) -> bytes:
    """A packet; ``fields`` override entries of its header: type, size, time_offset, capacity, number, valid_count."""
    marks = [True] * len(events.t) if valid is None else valid
    data = b"".join(
        struct.pack("<Ii", int(mark) | int(on) << 1 | int(y) << 2 | int(x) << 17, int(t))
        for t, x, y, on, mark in zip(*events, marks, strict=True)
    )
    number, count = len(events.t), sum(marks)
    header = {
        "type": 1, "source": source, "size": 8, "time_offset": 4, "overflow": overflow,
        "capacity": number, "number": number, "valid_count": count, **fields,
    }  # fmt: skip
    return struct.pack("<hhiiiiii", *header.values()) + data


def reset_packet(kind: int = 1, valid: bool = True) -> bytes:
    """A packet with one special event, at the time that cameras give it; kind 1 says that the clock was reset."""
    header = struct.pack("<hhiiiiii", 0, 1, 8, 4, 0, 1, 1, int(valid))
    return header + struct.pack("<Ii", int(valid) | kind << 1, 2**31 - 1)


def part(events: Events, first: int, behind: int) -> Events:
    return Events(*(column[first:behind] for column in events))


def aedat3_file(events: Events, packet: int = 64) -> bytes:
    """A file of packets of one camera."""
    starts = range(0, len(events.t), packet)
    return AEDAT3_HEADER + b"".join(aedat3_packet(part(events, start, start + packet)) for start in starts)


def aedat2_words(events: Events, first_time: int = 0) -> list[tuple[int, int]]:
    """Addresses of a DVS128, whose y counts from the bottom, and times, ``first_time`` later, modulo 2^32."""
    return [
        (int(on) | int(x) << 1 | 127 - int(y) << 8, (int(t) + first_time) % 2**32)
        for t, x, y, on in zip(*events, strict=True)
    ]


def aedat2_file(events: Events, first_time: int = 0) -> bytes:
    """A file of a DVS128."""
    return AEDAT2_HEADER + b"".join(struct.pack(">II", *word) for word in aedat2_words(events, first_time))


def nmnist_file(events: Events) -> bytes:
    """A .bin file."""
    return b"".join(
        bytes([int(x), int(y), int(on) << 7 | int(t) >> 16, int(t) >> 8 & 255, int(t) & 255])
        for t, x, y, on in zip(*events, strict=True)
    )


def write_nmnist(root: Path, train: int = 3, test: int = 1) -> dict[str, Events]:
    """Write ``train`` and ``test`` recordings of each digit; returns them by name."""
    written = {}
    for part_name, number in (("Train", train), ("Test", test)):
        for digit in range(10):
            folder = root / part_name / str(digit)
            folder.mkdir(parents=True)
            for recording in range(number):
                name = f"{part_name}/{digit}/{10 * recording + digit:05}"
                written[name] = random_events(len(written), 50, 34, 300_000)
                (root / f"{name}.bin").write_bytes(nmnist_file(written[name]))
    return written


def write_gestures(root: Path, num_users: int = 4, num_classes: int = 11) -> dict[str, Events]:
    """Write a recording of each user with two rows a class, the last user for testing; returns recordings by name."""
    root.mkdir(parents=True, exist_ok=True)
    written = {}
    length = 100_000
    names = [f"user{user:02}_led" for user in range(1, num_users + 1)]
    for user, name in enumerate(names):
        events = random_events(user, 60 * num_classes, 128, 2 * num_classes * length)
        rows = [(row % num_classes + 1, row * length, (row + 1) * length) for row in range(2 * num_classes)]
        lines = ["class,startTime_usec,endTime_usec", *(",".join(map(str, row)) for row in rows)]
        (root / f"{name}.aedat").write_bytes(aedat3_file(events))
        (root / f"{name}_labels.csv").write_text("\n".join(lines) + "\n")
        for number, (_, start, end) in enumerate(rows, 1):
            first, behind = np.searchsorted(events.t, (start, end))
            piece = part(events, int(first), int(behind))
            written[f"{name}/{number}"] = piece._replace(t=piece.t - start)
    (root / "trials_to_train.txt").write_text("".join(f"{name}.aedat\n" for name in names[:-1]))
    (root / "trials_to_test.txt").write_text(f"{names[-1]}.aedat\n")
    return written


def write_poker(root: Path, seconds: float = 10.0, num_events: int = 2000) -> dict[str, Events]:
    """Write a recording of each suit, its time starting at 0; returns them by suit."""
    root.mkdir(parents=True, exist_ok=True)
    written = {}
    for number, suit in enumerate(SUITS):
        events = random_events(number, num_events, 128, round(seconds * 1e6))
        events.t[0], events.t[-1] = 0, round(seconds * 1e6) - 1
        (root / f"slow_{suit}s_1.aedat").write_bytes(aedat2_file(events, first_time=12345))
        written[suit] = events
    return written


class ListSource:
    """A source of recordings that are at hand."""

    name = "listed"
    root = None

    def __init__(
        self, recordings: list[Recording], sensor: tuple[int, int] = (128, 128), in_time: bool = False
    ) -> None:
        self._recordings = recordings
        self.sensor = sensor
        self.in_time = in_time
        self.classes = tuple(f"class {label}" for label in range(1 + max(r.label for r in recordings)))

    def fingerprint(self) -> str:
        return f"listed {self.sensor}"

    def __len__(self) -> int:
        return len(self._recordings)

    def recordings(self) -> Iterator[Recording]:
        yield from self._recordings


def prepared(folder: Path, recordings: list[Recording], sensor: tuple[int, int] = (128, 128)) -> EventDataset:
    """Recordings as a prepared data set."""
    return prepare_dataset(ListSource(recordings, sensor), folder, progress=False)


def write_heidelberg(root: Path, name: str, parts: tuple[str, ...]) -> None:
    """Files in the layout of shd and ssc: eight recordings of four speakers each, other speakers in each file."""
    h5py, rng = pytest.importorskip("h5py"), np.random.default_rng(0)
    root.mkdir()
    for number, part in enumerate(parts):
        with h5py.File(root / f"{name}_{part}.h5", "w") as file:
            for key, kind in (("times", "f2"), ("units", "u2")):
                trains = file.create_dataset(f"spikes/{key}", (8,), h5py.vlen_dtype(kind))
                for train in range(8):
                    values = np.sort(rng.random(20)) if key == "times" else rng.integers(0, 700, 20)
                    trains[train] = values.astype(kind)
            file["labels"] = np.arange(8, dtype="u2")
            file["extra/speaker"] = np.arange(8, dtype="u2") % 4 + 4 * number
