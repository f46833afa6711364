"""10,000 damaged event files: each gives a DataError of one line, or events that the file's own counts account for."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from event_builders import aedat2_file, aedat3_file, nmnist_file, random_events

from qsnn.data.formats.aedat2 import read_aedat2
from qsnn.data.formats.aedat3 import read_aedat3
from qsnn.data.formats.nmnist import read_nmnist
from qsnn.data.recording import Events
from qsnn.errors import DataError

NUM_FILES = 3400  # of each format
WORDS = [b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"####", b"\r\n\r\n"]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to eight damages: flipped bits, other bytes, pieces cut out, repeated or moved, an early end."""
    mutable = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 8])):
        place, length = rng.randrange(len(mutable)), rng.randrange(1, 40)
        kind = rng.choice(["flip", "flip", "flip", "any", "word", "cut", "repeat", "end"])
        if kind == "flip":
            mutable[place] ^= 1 << rng.randrange(8)
        elif kind == "any":
            mutable[place] = rng.randrange(256)
        elif kind == "word":
            mutable[place : place + 4] = rng.choice(WORDS)
        elif kind == "cut":
            del mutable[place + 1 : place + length]
        elif kind == "repeat":
            mutable[place:place] = mutable[place : place + length]
        else:
            del mutable[place + 1 :]
    return bytes(mutable)


def promised3(data: bytes) -> int:
    """Valid polarity events that the packets' headers count, walking from the first one: an independent reading."""
    place, total = data.index(b"#!END-HEADER") if b"#!END-HEADER" in data else 0, 0
    place = data.index(b"\n", place) + 1
    while data[place : place + 1] == b"#":
        place = data.index(b"\n", place) + 1
    while place < len(data):
        kind, _, size, _, _, _, number, valid = struct.unpack_from("<hhiiiiii", data, place)
        total += valid if kind == 1 else 0
        place += 28 + size * number
    return total


def promised2(data: bytes) -> int:
    """Events of pixels: addresses without bits 15 and 31."""
    place, total = 0, 0
    while data[place : place + 1] == b"#":
        place = data.index(b"\n", place) + 1
    for start in range(place, len(data) - 7, 8):
        total += not struct.unpack_from(">I", data, start)[0] & 0x80008000
    return total


def outcome(path: Path, read: Callable[[Path], Events]) -> Events | str:
    """What a reader makes of a file: events, or its message."""
    try:
        return read(path)
    except DataError as error:
        return str(error)


EVENTS = random_events(0, 30, 34, 300_000)
FORMATS: dict[str, tuple[bytes, Callable[[Path], Events], Callable[[bytes], int]]] = {
    "a3.aedat": (aedat3_file(EVENTS, 8), lambda path: read_aedat3(path, (34, 34)), promised3),
    "a2.aedat": (aedat2_file(EVENTS), read_aedat2, promised2),
    "a.bin": (nmnist_file(EVENTS), read_nmnist, lambda data: len(data) // 5),
}


@pytest.mark.parametrize("name", FORMATS)
def test_readers_turn_any_damage_into_a_data_error_or_read_all_events(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole, read, promised = FORMATS[name]
    rng, path, refused = random.Random(name), tmp_path / name, 0
    for _ in range(NUM_FILES):
        data = damaged(whole, rng)
        path.unlink(missing_ok=True)  # some file systems flush a file that is overwritten
        path.write_bytes(data)
        events = outcome(path, read)
        if isinstance(events, str):
            assert str(path) in events
            assert "\n" not in events
            refused += 1
            continue
        assert len(events.t) == promised(data) > 0
        assert (np.diff(events.t) >= 0).all()
        size = 128 if name == "a2.aedat" else 34
        assert max(events.x.max(), events.y.max()) < size
    assert NUM_FILES / 3 < refused < NUM_FILES
    assert "clock resets" not in caplog.text


@pytest.mark.parametrize("name", FORMATS)
def test_readers_refuse_a_file_that_ends_early_anywhere_but_between_events(tmp_path: Path, name: str) -> None:
    whole, read, promised = FORMATS[name]
    for length in range(len(whole)):
        path = tmp_path / f"{length}-{name}"
        path.write_bytes(whole[:length])
        events = outcome(path, read)
        if not isinstance(events, str):
            assert len(events.t) == promised(whole[:length])  # all that is there, and nothing of what is half there


HEADER_BITS = 28 * 8
# What the format cannot tell from a damage: another defined type (which the log names), another camera, more room, and a
# later start of the last packet.
UNKNOWABLE = {0, 1, 2, 3, *range(7, 15), *range(16, 31), *range(96, 127), *range(128, 159)}


@pytest.mark.parametrize("bit", sorted(set(range(HEADER_BITS)) - UNKNOWABLE))
def test_read_aedat3_notices_a_flipped_bit_in_a_packets_header(tmp_path: Path, bit: int) -> None:
    data = bytearray(FORMATS["a3.aedat"][0])
    start = len(data) - (len(EVENTS.t) % 8 * 8 + 28)  # the last packet
    data[start + bit // 8] ^= 1 << bit % 8
    (tmp_path / "a.aedat").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.aedat, byte \d+: "):
        read_aedat3(tmp_path / "a.aedat", (34, 34))
