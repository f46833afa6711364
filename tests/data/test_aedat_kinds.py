"""Sound files that hold more than pixels, or that are of another kind: what is skipped, and how each kind is named."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from event_builders import AEDAT2_HEADER, aedat2_file, aedat2_words, aedat3_file, random_events, same_events

from qsnn.data.formats.aedat2 import read_aedat2
from qsnn.data.formats.aedat3 import read_aedat3
from qsnn.data.recording import Events

Message = Callable[..., str]
EXTERNAL, SPECIAL = 1 << 15, 1 << 31
EVENTS = random_events(1)
EVENTS.t[0] = 0


def read2(path: Path, data: bytes, **options: bool) -> Events:
    (path / "a.aedat").write_bytes(data)
    return read_aedat2(path / "a.aedat", **options)  # type: ignore[arg-type]


def read3(path: Path, data: bytes) -> Events:
    (path / "a.aedat").write_bytes(data)
    return read_aedat3(path / "a.aedat", (128, 128))


def with_others(*others: int) -> bytes:
    """EVENTS with an event of each of these addresses after each tenth, at its time."""
    words = []
    for number, (address, time) in enumerate(aedat2_words(EVENTS)):
        words.append((address, time))
        words += [(other, time) for other in others] if number % 10 == 0 else []
    return AEDAT2_HEADER + b"".join(struct.pack(">II", *word) for word in words)


def changed(change: Callable[[int], int]) -> bytes:
    """EVENTS with other addresses."""
    return AEDAT2_HEADER + b"".join(struct.pack(">II", change(address), time) for address, time in aedat2_words(EVENTS))


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ((EXTERNAL,), "20 external events skipped"),
        ((SPECIAL,), "20 special events skipped"),
        ((SPECIAL | EXTERNAL | 77,), "20 special events skipped"),
        ((EXTERNAL | 0x7FFF, SPECIAL | 0x7FFF, SPECIAL), "20 external events skipped, 40 special events skipped"),
    ],
)
def test_read_aedat2_skips_and_counts_events_that_belong_to_no_pixel(
    tmp_path: Path, others: tuple[int, ...], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert same_events(read2(tmp_path, with_others(*others)), EVENTS)
    assert caplog.messages == [f"{tmp_path / 'a.aedat'}: {told}"]


def test_read_aedat2_of_a_file_with_bit_15_everywhere_says_so_and_reads_it_when_asked(
    tmp_path: Path, message_of: Message
) -> None:
    data = changed(lambda address: address | EXTERNAL)
    message = message_of(read2, tmp_path, data)
    assert "a.aedat: each of its 200 addresses has bit 15 set, which marks an external event" in message
    assert message.endswith("dataset.ignore_external_bit=true reads it as if the bit were not set")
    assert same_events(read2(tmp_path, data, ignore_external_bit=True), EVENTS)


def test_read_aedat2_asked_to_ignore_bit_15_still_skips_the_external_events_of_other_files(tmp_path: Path) -> None:
    assert same_events(read2(tmp_path, with_others(EXTERNAL | 9), ignore_external_bit=True), EVENTS)


def test_read_aedat2_says_that_no_event_belongs_to_a_pixel(tmp_path: Path, message_of: Message) -> None:
    message = message_of(read2, tmp_path, changed(lambda address: address | SPECIAL))
    assert "a.aedat: all 200 events are special (bit 31 of the address), expected some of pixels" in message


def test_read_aedat2_turns_y_of_the_file_which_counts_from_the_bottom(tmp_path: Path) -> None:
    data = AEDAT2_HEADER + struct.pack(">IIII", 5 << 1 | 3 << 8, 0, 5 << 1 | 127 << 8, 1)
    events = read2(tmp_path, data)
    assert (events.x.tolist(), events.y.tolist()) == ([5, 5], [124, 0])
    assert read2(tmp_path, data, mirror_y=True).y.tolist() == [3, 127]
    assert read2(tmp_path, data, mirror_x=True).x.tolist() == [122, 122]


def chip(name: str, data: bytes) -> bytes:
    line = f"# AEChip: {name}\r\n".encode()
    return data.replace(b"# Timestamps", line + b"# Timestamps", 1)


DAVIS = "eu.seebetter.ini.chips.davis.Davis240C"
DAVIS_EVENTS = changed(lambda address: address << 12 | 0x800)  # x from bit 12, y from bit 22
OTHER_CAMERAS = {
    "named": (chip(DAVIS, aedat2_file(EVENTS)), "is a recording of a Davis240C, as its header says, in AEDAT 2.0"),
    "named, with its own addresses": (chip(DAVIS, DAVIS_EVENTS), "is a recording of a Davis240C, as its header says"),
    "another, named": (
        chip("ch.unizh.ini.jaer.chip.retina.DVS320", DAVIS_EVENTS),
        "is a recording of a DVS320, as its",
    ),
    "not named": (DAVIS_EVENTS, "is an AEDAT 2.0 file with addresses of 27 bits, such as "),
    "wrongly named": (chip("a.b.DVS128", DAVIS_EVENTS), "which a DAVIS writes, and other cameras of more pixels"),
}


@pytest.mark.parametrize("case", OTHER_CAMERAS)
def test_read_aedat2_names_another_camera_and_what_is_supported(tmp_path: Path, case: str, message_of: Message) -> None:
    data, found = OTHER_CAMERAS[case]
    message = message_of(read2, tmp_path, data)
    assert f"{tmp_path / 'a.aedat'} is a" in message
    assert found in message
    assert "supported are AEDAT 2.0 of a DVS128 (dataset=slow_poker), AEDAT 3.1 (dataset=dvs_gesture)" in message
    assert "damaged" not in message


@pytest.mark.parametrize("name", ["ch.unizh.ini.jaer.chip.retina.DVS128", "Tmpdiff128", "somebody.elses.Retina"])
def test_read_aedat2_reads_whatever_camera_has_the_addresses_of_a_dvs128(tmp_path: Path, name: str) -> None:
    assert same_events(read2(tmp_path, chip(name, aedat2_file(EVENTS))), EVENTS)


def version_1(header: bytes) -> bytes:
    return header + b"".join(struct.pack(">HI", address, time) for address, time in aedat2_words(EVENTS))


OTHER_VERSIONS = {
    "1.0": (version_1(b"#!AER-DAT1.0\r\n"), "is an AEDAT 1.0 file, as jAER before 2010 writes it, not AEDAT {}"),
    "1.0 with a header of other lines": (
        version_1(b"# sizeX 128\r\n"),
        "is an AEDAT 1.0 file, as jAER wrote it before",
    ),
    "1.0 without a header": (version_1(b""), "is an AEDAT 1.0 file, as jAER wrote it before 2010, not AEDAT {}"),
    "2.1": (aedat2_file(EVENTS).replace(b"2.0", b"2.1", 1), "is an AEDAT 2.1 file, not AEDAT {}"),
    "3.0": (aedat3_file(EVENTS).replace(b"3.1", b"3.0", 1), "is an AEDAT 3.0 file, as cAER writes it, not AEDAT {}"),
    "4.0": (b"#!AER-DAT4.0\r\n\x18\0\0\0" + bytes(200), "is an AEDAT 4.0 file, as DV writes it, not AEDAT {}"),
}


@pytest.mark.parametrize("case", OTHER_VERSIONS)
@pytest.mark.parametrize(("read", "version"), [(read2, "2.0"), (read3, "3.1")])
def test_readers_name_the_version_of_another_aedat_file(
    tmp_path: Path, read: Callable, version: str, case: str, message_of: Message
) -> None:
    data, found = OTHER_VERSIONS[case]
    message = message_of(read, tmp_path, data)
    assert message.startswith(f"{tmp_path / 'a.aedat'} {found.format(version)}")
    assert "supported are AEDAT 2.0 of a DVS128" in message
    assert "damaged" not in message


@pytest.mark.parametrize("data", [np.random.default_rng(0).bytes(600), bytes(600), b"# a text\n" + 10 * b"of words\n"])
def test_readers_do_not_take_what_is_no_event_file_for_aedat_1(
    tmp_path: Path, data: bytes, message_of: Message
) -> None:
    for read in (read2, read3):
        assert "byte 0: the first line is" in message_of(read, tmp_path, data)
