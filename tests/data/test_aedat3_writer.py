import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.formats.aedat3 import read_aedat3
from qsnn.data.formats.aedat3_writer import EVENTS_PER_PACKET, write_aedat3
from qsnn.data.recording import Events


def make_events(t: list[int], seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(128, size=(2, len(t))).astype(np.int16)
    return Events(np.array(t, dtype=np.int64), x, y, rng.random(len(t)) < 0.5)


def assert_equal(one: Events, other: Events) -> None:
    for name, first, second in zip(Events._fields, one, other, strict=True):
        assert first.dtype == second.dtype, name
        assert np.array_equal(first, second), name


def test_written_file_has_the_bytes_of_the_format(tmp_path: Path):
    events = Events(np.array([7, 9]), np.array([3, 127], np.int16), np.array([5, 0], np.int16), np.array([True, False]))
    write_aedat3(tmp_path / "two.aedat", events)
    header, data = (tmp_path / "two.aedat").read_bytes().split(b"#!END-HEADER\r\n")
    assert header.startswith(b"#!AER-DAT3.1\r\n")
    assert all(line.startswith(b"#") for line in header.splitlines())
    assert struct.unpack("<hhiiiiii", data[:28]) == (1, 1, 8, 4, 0, EVENTS_PER_PACKET, 2, 2)
    assert struct.unpack("<IiIi", data[28:]) == (3 << 17 | 5 << 2 | 0b11, 7, 127 << 17 | 0b01, 9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2**36), min_size=1, max_size=200), st.integers(0, 2**32))
def test_reader_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, times: list[int], seed: int):
    path = tmp_path_factory.mktemp("aedat") / "any.aedat"
    events = make_events(sorted(times), seed)
    write_aedat3(path, events)
    assert_equal(read_aedat3(path, (128, 128)), events)


def test_reader_gives_back_many_packets_across_an_overflow_of_time(tmp_path: Path):
    times = np.arange(3 * EVENTS_PER_PACKET + 17) * 100 + 2**31 - 500_000
    events = make_events(times.tolist())
    write_aedat3(tmp_path / "long.aedat", events)
    assert_equal(read_aedat3(tmp_path / "long.aedat", (128, 128)), events)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"t": np.array([5, 4])}, "must not go backward"),
        ({"t": np.array([-1, 4])}, "must be 0 to 2^62 - 1"),
        ({"t": np.array([1, 2**62])}, "must be 0 to 2^62 - 1"),
        ({"x": np.array([1, -1], np.int16)}, "x and y must be 0 to 32767"),
    ],
)
def test_writer_refuses_what_the_format_cannot_hold(tmp_path: Path, message_of, change: dict, expected: str):
    message = message_of(write_aedat3, tmp_path / "bad.aedat", make_events([1, 2])._replace(**change))
    assert expected in message
    assert "bad.aedat" in message
    assert not (tmp_path / "bad.aedat").exists()


def test_writer_refuses_a_file_without_events(tmp_path: Path, message_of):
    assert "no events" in message_of(write_aedat3, tmp_path / "none.aedat", make_events([]))
