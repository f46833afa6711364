"""Recordings whose clock was set back: what follows a reset is later, and no half is ever sorted into the other."""

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
    part,
    random_events,
    reset_packet,
    same_events,
)

from qsnn.data.formats.aedat2 import read_aedat2
from qsnn.data.formats.aedat3 import read_aedat3
from qsnn.data.recording import Events
from qsnn.errors import DataError

Message = Callable[..., str]
SENSOR = (128, 128)
FIRST, SECOND = random_events(0, 300, end=5_000_000), random_events(1, 400, end=7_000_000)


def read2(tmp_path: Path, data: bytes, **options: bool) -> Events:
    (tmp_path / "a.aedat").write_bytes(data)
    return read_aedat2(tmp_path / "a.aedat", **options)  # type: ignore[arg-type]


def read3(tmp_path: Path, data: bytes, **options: bool) -> Events:
    (tmp_path / "a.aedat").write_bytes(data)
    return read_aedat3(tmp_path / "a.aedat", SENSOR, **options)


def file2(*parts: Events) -> bytes:
    return AEDAT2_HEADER + b"".join(aedat2_file(events)[len(AEDAT2_HEADER) :] for events in parts)


def file3(*parts: Events) -> bytes:
    """Packets of 64 events; nothing marks where a part begins."""
    return AEDAT3_HEADER + b"".join(aedat3_file(events)[len(AEDAT3_HEADER) :] for events in parts)


def marked3(*parts: Events) -> bytes:
    """The same with a reset event in front of each part."""
    return AEDAT3_HEADER + b"".join(reset_packet() + aedat3_file(events)[len(AEDAT3_HEADER) :] for events in parts)


def at(*t: float) -> Events:
    """Events at the times ``t`` in seconds, each at a pixel of its own."""
    place = np.arange(len(t)).astype(np.int16)
    return Events(np.array([round(time * 1e6) for time in t], np.int64), place, place, place % 2 == 0)


def joined(*parts: Events) -> Events:
    """What reading must give: times from 0 on, each part beginning at the last time of the one before."""
    t, start = [], 0
    for events in parts:
        t.append(events.t - events.t[0] + start)
        start = int(t[-1][-1])
    return Events(np.concatenate(t), *(np.concatenate([p[column] for p in parts]) for column in (1, 2, 3)))


def later(events: Events, seconds: float) -> Events:
    return events._replace(t=events.t + round(seconds * 1e6))


def from_zero(events: Events) -> Events:
    return events._replace(t=events.t - events.t[0])


FORMATS = {"2.0": (read2, file2), "3.1": (read3, file3), "3.1, marked": (read3, marked3)}


@pytest.mark.parametrize("sort_time", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_readers_put_what_follows_a_reset_behind_what_was_before(
    tmp_path: Path, name: str, sort_time: bool, caplog: pytest.LogCaptureFixture
) -> None:
    read, write = FORMATS[name]
    third = random_events(2, 50, end=400_000)
    events = read(tmp_path, write(FIRST, SECOND, third), sort_time=sort_time)
    assert same_events(from_zero(events), joined(FIRST, SECOND, third))
    begins = [events.t[300] / 1e6, events.t[700] / 1e6]
    told = f"2 clock resets; what follows a reset is taken as later, from {begins[0]:g} s, {begins[1]:g} s on"
    assert caplog.messages == [f"{tmp_path / 'a.aedat'}: {told}"]


@pytest.mark.parametrize("name", FORMATS)
def test_readers_sort_within_a_part_only(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    read, write = FORMATS[name]
    mixed = [random_events(number, 300, end=5_000_000) for number in (3, 4)]
    for events in mixed:
        events.t[[100, 101]] = events.t[[101, 100]]
        events.t[[200, 202]] = events.t[[202, 200]]
    with pytest.raises(DataError, match=r"a\.aedat, byte \d+: .*dataset\.sort_time=true sorts the events by time"):
        read(tmp_path, write(*mixed))
    order = [np.argsort(events.t, kind="stable") for events in mixed]
    expected = joined(*(Events(*(c[o] for c in events)) for events, o in zip(mixed, order, strict=True)))
    assert same_events(from_zero(read(tmp_path, write(*mixed), sort_time=True)), expected)
    assert "1 clock resets, 6 events sorted by time; what follows a reset is taken as later" in caplog.text


@pytest.mark.parametrize("few", [at(1, 2, 3), at(0, 1, 2), at(9, 9.5)])
def test_readers_notice_a_reset_after_a_few_events(tmp_path: Path, few: Events) -> None:
    assert same_events(from_zero(read2(tmp_path, file2(few, at(0.001, 0.002)))), joined(few, at(0.001, 0.002)))


@pytest.mark.parametrize("few", [at(0.01, 3), at(0.01, 0.02, 300, 301)])
def test_readers_ask_where_a_fall_only_takes_back_one_step_forward(
    tmp_path: Path, few: Events, message_of: Message
) -> None:
    behind = at(0.001, 0.002)
    assert message_of(read2, tmp_path, file2(few, behind)).endswith(
        "sort_time=true takes what follows as recorded later"
    )
    assert same_events(from_zero(read2(tmp_path, file2(few, behind), sort_time=True)), joined(few, behind))


@pytest.mark.parametrize("bit", range(31))
@pytest.mark.parametrize("packet", [0, 2])
def test_read_aedat3_never_takes_a_damaged_overflow_for_a_reset(tmp_path: Path, bit: int, packet: int) -> None:
    """All times of the packet are later by a multiple of 36 minutes, and those of the next one fall back."""
    data = bytearray(aedat3_file(random_events(6, 300, end=900_000)))
    data[len(AEDAT3_HEADER) + packet * (28 + 64 * 8) + 12 + bit // 8] ^= 1 << bit % 8
    with pytest.raises(DataError, match=r"a\.aedat, byte \d+: .*the file is damaged"):
        read3(tmp_path, bytes(data))


def test_read_aedat2_notices_a_reset_after_more_than_35_minutes(tmp_path: Path) -> None:
    """Modulo 2^32 it is a step forward."""
    data = file2(later(FIRST, 3000), SECOND)
    assert same_events(read2(tmp_path, data), joined(FIRST, SECOND))


@pytest.mark.parametrize("silence", [0.001, 30, 2000])
def test_read_aedat2_does_not_take_a_wrap_for_a_reset(
    tmp_path: Path, silence: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Also after a silence, unless it is long and ends just at the wrap."""
    end = 2**32 / 1e6
    first = later(FIRST, end - 5 - min(silence, 10))
    second = later(SECOND, end + silence)
    whole = Events(*(np.concatenate(columns) for columns in zip(first, second, strict=True)))
    assert same_events(read2(tmp_path, aedat2_file(whole)), from_zero(whole))
    assert not caplog.messages


def set_back() -> tuple[Events, Events]:
    """Two halves, the second from the middle of the first on: no reset, for it does not begin at 0."""
    return later(FIRST, 100), later(SECOND, 102)


@pytest.mark.parametrize(("read", "write"), [(read2, file2), (read3, file3)])
def test_readers_ask_where_a_clock_is_set_back_to_another_time_than_0(
    tmp_path: Path, read: Callable, write: Callable, message_of: Message
) -> None:
    halves = set_back()
    message = message_of(read, tmp_path, write(*halves))
    assert "and time goes on from there: the camera's clock was set back, or the file is damaged" in message
    assert message.endswith("dataset.sort_time=true takes what follows as recorded later")
    assert same_events(from_zero(read(tmp_path, write(*halves), sort_time=True)), joined(*halves))


def test_read_aedat3_believes_a_marked_reset_by_any_step_to_any_time(tmp_path: Path) -> None:
    halves = later(FIRST, 100), later(SECOND, 104.94)
    assert halves[1].t[0] < halves[0].t[-1]
    assert same_events(from_zero(read3(tmp_path, marked3(*halves))), joined(*halves))


@pytest.mark.parametrize("kind", [0, 2, 3, 33])
def test_read_aedat3_takes_no_other_special_event_for_a_reset(tmp_path: Path, kind: int, message_of: Message) -> None:
    data = file3(*set_back()).replace(AEDAT3_HEADER, AEDAT3_HEADER + reset_packet(kind))
    assert "camera's clock was set back" in message_of(read3, tmp_path, data)


def test_read_aedat3_takes_no_invalid_special_event_for_a_reset(tmp_path: Path, message_of: Message) -> None:
    first, second = (aedat3_file(half)[len(AEDAT3_HEADER) :] for half in set_back())
    data = AEDAT3_HEADER + first + reset_packet(valid=False) + second
    assert "camera's clock was set back" in message_of(read3, tmp_path, data)


def test_read_aedat3_keeps_the_cameras_time_where_a_marked_reset_changes_nothing(tmp_path: Path) -> None:
    """Cameras send one when they are switched on; invalid events and packets of no events count for nothing."""
    invalid = aedat3_packet(at(9), valid=[False])
    start = reset_packet() + invalid + reset_packet() + aedat3_packet(part(FIRST, 0, 0))
    data = AEDAT3_HEADER + start + aedat3_file(FIRST)[len(AEDAT3_HEADER) :] + reset_packet()
    assert same_events(read3(tmp_path, data), FIRST)


def test_read_aedat3_refuses_a_reset_among_several_cameras(tmp_path: Path, message_of: Message) -> None:
    packets = [aedat3_packet(half, source=source) for half in (FIRST, SECOND) for source in (1, 2)]
    data = AEDAT3_HEADER + b"".join(packets)
    for sort_time in (False, True):
        message = message_of(read3, tmp_path, data, sort_time=sort_time)
        byte = len(AEDAT3_HEADER) + len(packets[0]) + len(packets[1]) + 28
        assert f"byte {byte}: the clock of source 1 is reset in a file of several sources" in message


def test_read_aedat3_sorts_the_events_of_each_of_several_cameras(tmp_path: Path) -> None:
    data = aedat3_packet(at(1, 2, 1.99), source=1) + aedat3_packet(at(1.5, 3), source=2)
    times = read3(tmp_path, AEDAT3_HEADER + data, sort_time=True).t
    assert times.tolist() == [1_000_000, 1_500_000, 1_990_000, 2_000_000, 3_000_000]


def test_readers_never_take_a_single_damaged_time_for_a_reset(tmp_path: Path) -> None:
    """Each bit of the time of each event, and each of its bytes set to 0: refused, or read as it stands."""
    events = random_events(5, 40, end=8_000_000)
    for read, data, order in ((read2, file2(events), ">I"), (read3, file3(events), "<I")):
        start = len(data) - 8 * len(events.t)
        refused = 0
        for place in range(start + 4, len(data), 8):
            (time,) = struct.unpack_from(order, data, place)
            for wrong in {
                *(time ^ 1 << bit for bit in range(32)),
                *(time & ~(255 << 8 * byte) for byte in range(4)),
                0,
            }:
                mutated = bytearray(data)
                struct.pack_into(order, mutated, place, wrong)
                try:
                    assert len(read(tmp_path, bytes(mutated)).t) == 40
                except DataError:
                    refused += 1
                    continue
                raw = np.frombuffer(bytes(mutated[start:]), order[0] + "u4")[1::2].astype(np.int64)
                assert (np.diff(raw) >= 0).all() or wrong > 2**31, (place, wrong)
        assert refused > 40 * 16
