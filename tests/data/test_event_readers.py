"""AEDAT 3.1, AEDAT 2.0 and N-MNIST files: what is read, and what is refused with file, byte and expectation."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from event_builders import (
    AEDAT2_HEADER,
    AEDAT3_HEADER,
    aedat2_file,
    aedat3_file,
    aedat3_packet,
    nmnist_file,
    part,
    random_events,
    same_events,
)

from qsnn.data.formats.aedat2 import read_aedat2
from qsnn.data.formats.aedat3 import read_aedat3
from qsnn.data.formats.aedat3_writer import write_aedat3
from qsnn.data.formats.nmnist import read_nmnist
from qsnn.data.recording import Events

SENSOR = (128, 128)
Message = Callable[..., str]


def at(*t: int) -> Events:
    """Events of one pixel at the times ``t``."""
    place = np.full(len(t), 5, np.int16)
    return Events(np.array(t, np.int64), place, place, np.ones(len(t), bool))


def read3(tmp_path: Path, data: bytes, **options: bool) -> Events:
    (tmp_path / "a.aedat").write_bytes(data)
    return read_aedat3(tmp_path / "a.aedat", SENSOR, **options)


def read2(tmp_path: Path, data: bytes, **options: int) -> Events:
    (tmp_path / "a.aedat").write_bytes(data)
    return read_aedat2(tmp_path / "a.aedat", **options)  # type: ignore[arg-type]


def read_bin(tmp_path: Path, data: bytes) -> Events:
    (tmp_path / "a.bin").write_bytes(data)
    return read_nmnist(tmp_path / "a.bin")


@pytest.mark.parametrize("packet", [1, 7, 64, 1000])
def test_read_aedat3_reads_every_event_of_every_packet(tmp_path: Path, packet: int) -> None:
    events = random_events(0)
    assert same_events(read3(tmp_path, aedat3_file(events, packet)), events)


def test_read_aedat3_reads_what_the_writer_writes(tmp_path: Path) -> None:
    events = random_events(0, 10_000, end=2**33)
    write_aedat3(tmp_path / "written.aedat", events)
    assert same_events(read_aedat3(tmp_path / "written.aedat", SENSOR), events)


@pytest.mark.parametrize(
    "header", [AEDAT3_HEADER, b"#!AER-DAT3.1\r\n#Format: RAW\r\n", b"#!AER-DAT3.1\n#!END-HEADER\n"]
)
def test_read_aedat3_reads_headers_with_and_without_end_line(tmp_path: Path, header: bytes) -> None:
    events = random_events(1, 20)
    assert same_events(read3(tmp_path, header + aedat3_packet(events)), events)


def test_read_aedat3_skips_packets_of_other_types_and_of_no_events(tmp_path: Path) -> None:
    events = random_events(2, 40)
    special = aedat3_packet(random_events(3, 5), type=0)
    frame = struct.pack("<hhiiiiii", 2, 1, 100, 12, 0, 2, 2, 2) + bytes(200)
    own = struct.pack("<hhiiiiii", 100, 1, 24, 20, 0, 1, 1, 0) + bytes(24)
    parts = [special, aedat3_packet(part(events, 0, 20)), frame, aedat3_packet(part(events, 0, 0)), own]
    data = AEDAT3_HEADER + b"".join([*parts, aedat3_packet(part(events, 20, 40)), special])
    assert same_events(read3(tmp_path, data), events)


def test_read_aedat3_skips_invalid_events_even_outside_of_the_sensor(tmp_path: Path) -> None:
    events = random_events(2, 9)
    events.x[4], events.t[4] = 5000, 0
    valid = [index % 4 != 0 for index in range(9)]
    kept = Events(*(column[np.array(valid)] for column in events))
    assert same_events(read3(tmp_path, AEDAT3_HEADER + aedat3_packet(events, valid=valid)), kept)


def test_read_aedat3_adds_the_time_overflow_of_each_packet(tmp_path: Path) -> None:
    data = AEDAT3_HEADER + aedat3_packet(at(2**31 - 2, 2**31 - 1)) + aedat3_packet(at(0, 3), overflow=1)
    assert read3(tmp_path, data + aedat3_packet(at(1), overflow=3)).t.tolist() == [
        2**31 - 2, 2**31 - 1, 2**31, 2**31 + 3, 3 * 2**31 + 1
    ]  # fmt: skip


def test_read_aedat3_merges_the_packets_of_several_cameras_by_time(tmp_path: Path) -> None:
    data = aedat3_packet(at(1, 5, 9), source=1) + aedat3_packet(at(2, 6), source=2) + aedat3_packet(at(9, 20), source=1)
    assert read3(tmp_path, AEDAT3_HEADER + data).t.tolist() == [1, 2, 5, 6, 9, 9, 20]


@pytest.mark.parametrize("times", [[(1, 5, 4)], [(1, 5), (4, 6)]])
def test_read_aedat3_refuses_time_that_goes_backward_or_sorts_it(
    tmp_path: Path, times: list[tuple[int, ...]], message_of: Message
) -> None:
    data = AEDAT3_HEADER + b"".join(aedat3_packet(at(*packet)) for packet in times)
    byte = len(data) - 8 * (1 if len(times) == 1 else 2)
    message = message_of(read3, tmp_path, data)
    assert (
        f"a.aedat, byte {byte}: an event at 4 us follows one at 5 us, expected times that never go backward" in message
    )
    assert "dataset.sort_time=true" in message
    assert read3(tmp_path, data, sort_time=True).t.tolist() == sorted(sum(times, ()))


BROKEN3 = {
    "empty": (b"", "a.aedat has 0 bytes"),
    "foreign": (b"\x89PNG\r\n\x1a\n" + bytes(99), "byte 0: the first line is '\\x89PNG', expected '#!AER-DAT3.1'"),
    "other version": (aedat2_file(random_events(0, 3)), "is an AEDAT 2.0 file, as jAER writes it, not AEDAT 3.1; supported"),
    "header only": (AEDAT3_HEADER, f"byte {len(AEDAT3_HEADER)}: the file ends behind its header, expected events"),
    "endless header": (b"#!AER-DAT3.1\r\n#" + b"x" * 99, "byte 14: a header line does not end in the 114 bytes"),
    "huge header": (b"#!AER-DAT3.1\r\n" + b"#" * 99 + b"\n#" * 2**21, "expected a line that ends within the 4194304 bytes"),
    "cut in a packet's header": (
        AEDAT3_HEADER + aedat3_packet(at(1)) + bytes(27), f"byte {len(AEDAT3_HEADER) + 36}: the file ends after 27 bytes of"
    ),
    "cut in an event": (
        AEDAT3_HEADER + aedat3_packet(at(1, 2))[:-1],
        f"byte {len(AEDAT3_HEADER)}: a packet of 2 events of 8 bytes, with 15 bytes left in the file, expected all of them",
    ),
    "huge packet": (AEDAT3_HEADER + aedat3_packet(at(1), number=2**31 - 1, capacity=2**31 - 1), "a packet of 2147483647"),
    "only other types": (AEDAT3_HEADER + aedat3_packet(at(1), type=0), "the file ends without a valid polarity event"),
    "only invalid events": (AEDAT3_HEADER + aedat3_packet(at(1), valid=[False]), "without a valid polarity event"),
    "unknown type": (AEDAT3_HEADER + aedat3_packet(at(1), type=33), "a packet of event type 33, expected 0..13, or 100"),
    "negative type": (AEDAT3_HEADER + aedat3_packet(at(1), type=-1), "a packet of event type -1"),
    "negative overflow": (AEDAT3_HEADER + aedat3_packet(at(1), overflow=-1), "of source 1 and overflow -1, expected both"),
    "more valid events than events": (
        AEDAT3_HEADER + aedat3_packet(at(1), valid_count=2), "a packet of 2 valid events of 1 with room for 1"
    ),
    "negative number": (AEDAT3_HEADER + aedat3_packet(at(1), number=-1), "valid events of -1 with room for 1"),
    "wrong size": (AEDAT3_HEADER + aedat3_packet(at(1, 2), size=4, time_offset=0), "polarity events of 4 bytes"),
    "no size": (AEDAT3_HEADER + aedat3_packet(at(1), type=3, size=0, time_offset=0), "events of 0 bytes"),
    "time outside": (AEDAT3_HEADER + aedat3_packet(at(1), time_offset=6), "events of 8 bytes with the time at byte 6"),
    "wrong count": (
        AEDAT3_HEADER + aedat3_packet(at(1, 2, 3), valid=[True, False, True], valid_count=3),
        f"byte {len(AEDAT3_HEADER)}: a packet with 2 events that are marked valid, expected 3, as its header counts",
    ),
    "negative time": (AEDAT3_HEADER + aedat3_packet(at(-7)), f"byte {len(AEDAT3_HEADER) + 28}: an event at -7 us"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN3)
def test_read_aedat3_names_byte_and_expectation_of_a_broken_file(
    tmp_path: Path, case: str, message_of: Message
) -> None:
    data, message = BROKEN3[case]
    assert message in message_of(read3, tmp_path, data)


@pytest.mark.parametrize(("axis", "value"), [("x", 128), ("y", 128), ("x", 32767), ("y", 300)])
def test_read_aedat3_refuses_events_outside_of_the_sensor(
    tmp_path: Path, axis: str, value: int, message_of: Message
) -> None:
    events = random_events(0, 100)
    getattr(events, axis)[70] = value
    byte = len(AEDAT3_HEADER) + 2 * 28 + 70 * 8
    message = message_of(read3, tmp_path, aedat3_file(events, 64))
    assert f"a.aedat, byte {byte}: an event at x = {events.x[70]}, y = {events.y[70]}, expected" in message


def test_read_aedat2_reads_every_event_from_time_zero(tmp_path: Path) -> None:
    events = random_events(3)
    events.t[0] = 0
    assert same_events(read2(tmp_path, aedat2_file(events, first_time=777)), events)


@pytest.mark.parametrize("first_time", [2**31 - 500_000, 2**32 - 500_000])
def test_read_aedat2_unwraps_the_time_at_31_and_at_32_bits(tmp_path: Path, first_time: int) -> None:
    events = random_events(4)
    events.t[0] = 0
    assert same_events(read2(tmp_path, aedat2_file(events, first_time)), events)


def test_read_aedat2_takes_either_bit_as_on_and_mirrors(tmp_path: Path) -> None:
    events = random_events(5)
    plain = read2(tmp_path, aedat2_file(events))
    assert np.array_equal(read2(tmp_path, aedat2_file(events), on_bit=0).polarity, ~plain.polarity)
    assert np.array_equal(read2(tmp_path, aedat2_file(events), mirror_x=True).x, 127 - plain.x)
    assert np.array_equal(read2(tmp_path, aedat2_file(events), mirror_y=True).y, 127 - plain.y)


def test_read_aedat2_refuses_time_that_goes_backward_or_sorts_it(tmp_path: Path, message_of: Message) -> None:
    data = aedat2_file(at(10, 30, 20, 5))
    assert f"byte {len(data) - 16}: an event at 10 us follows one at 20 us" in message_of(read2, tmp_path, data)
    assert read2(tmp_path, data, sort_time=True).t.tolist() == [0, 5, 15, 25]


BROKEN2 = {
    "empty": (b"", "a.aedat has 0 bytes"),
    "without a header": (bytes(64), "byte 0: the first line is"),
    "other version": (
        aedat3_file(random_events(0, 3)),
        "an AEDAT 3.1 file, as cAER writes it, not AEDAT 2.0; supported",
    ),
    "header only": (AEDAT2_HEADER, "the file ends behind its header, expected events"),
    "endless header": (AEDAT2_HEADER + b"#" + b"x" * 99, "a header line does not end"),
    "cut": (
        aedat2_file(at(1, 2))[:-3],
        f"byte {len(AEDAT2_HEADER) + 8}: the file ends after 5 bytes of an event, expected 8",
    ),
    "address": (
        aedat2_file(at(1)) + b"\0\1\0\0\0\0\0\x02",
        f"byte {len(AEDAT2_HEADER) + 8}: address 0x10000, expected 15 bits, as a DVS128 has, or bit 15 (external events)",
    ),
    "special address": (
        aedat2_file(at(1)) + b"\x80\1\0\0\0\0\0\x02",
        f"byte {len(AEDAT2_HEADER) + 8}: address 0x80010000, expected 15",
    ),
}


@pytest.mark.parametrize("case", BROKEN2)
def test_read_aedat2_names_byte_and_expectation_of_a_broken_file(
    tmp_path: Path, case: str, message_of: Message
) -> None:
    data, message = BROKEN2[case]
    assert message in message_of(read2, tmp_path, data)


def test_read_nmnist_reads_every_event(tmp_path: Path) -> None:
    events = random_events(6, 300, 34, 2**23)
    assert same_events(read_bin(tmp_path, nmnist_file(events)), events)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "a.bin has 0 bytes"),
        (nmnist_file(at(1, 2))[:-2], "byte 5: the file ends after 3 bytes of an event, expected 5 bytes"),
        (
            nmnist_file(at(1)) + bytes([34, 0, 0, 0, 2]),
            "byte 5: an event at x = 34, y = 0, expected x below 34 and y below 34",
        ),
        (
            nmnist_file(at(1, 5, 3)),
            "byte 10: an event at 3 us follows one at 5 us, expected times that never go backward",
        ),
    ],
)
def test_read_nmnist_names_byte_and_expectation_of_a_broken_file(
    tmp_path: Path, data: bytes, message: str, message_of: Message
) -> None:
    assert message in message_of(read_bin, tmp_path, data)


@pytest.mark.parametrize("read", [lambda path: read_aedat3(path, SENSOR), read_aedat2, read_nmnist])
def test_readers_name_a_missing_file_and_a_folder(tmp_path: Path, read: Callable, message_of: Message) -> None:
    assert "does not exist" in message_of(read, tmp_path / "none")
    assert "is a folder or a device" in message_of(read, tmp_path)
