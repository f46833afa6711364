"""AEDAT 2.0, the files of jAER, with the events of a DVS128.

Format: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html. After lines of #, 8 bytes
an event, big endian: an address (bit 0 polarity, bits 1..7 x, bits 8..14 y) and a time in microseconds. Bit 15 marks an
external event, of the camera's synchronisation pin, and bit 31 a special one, of jAER; neither belongs to a pixel, so
they are skipped and counted. Some tools set bit 15 in every address when they rewrite a recording: such a file is refused
unless the bit is to be ignored in it.

The format puts (0, 0) in the lower left corner and means ON by a polarity bit of 1. `Events.y` counts downward, so y is
127 less bits 8..14. Sources disagree on all three, so these are options.

The time has 32 bits and wraps: from one event to the next it is taken modulo 2^32, so that a step of less than 35 minutes
forward is a step forward, and one backward is one backward. Where a clock was reset a new part begins (`formats.clock`).
Time that goes backward otherwise is refused, or sorted if asked to: old cameras lose the order now and then.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.formats.aedat_header import chip_of, end_of_header, other_kind
from qsnn.data.formats.clock import NEAR_ZERO, Clock, Reading, in_order, log_remarks, stays_back
from qsnn.data.formats.event_file import broken, first_true
from qsnn.data.formats.guard import read_bytes
from qsnn.data.recording import Events
from qsnn.errors import DataError

DVS128 = (128, 128)  # height, width
_RAW_EVENT = np.dtype([("address", ">u4"), ("time", ">u4")])
_EXTERNAL, _SPECIAL, _FOREIGN = 1 << 15, 1 << 31, 0x7FFF0000
_LONGEST_SILENCE = 60_000_000  # microseconds


class AEDAT2Options(NamedTuple):
    """What sources disagree on, and what is read only if asked to: see `read_aedat2`."""

    on_bit: int = 1
    mirror_x: bool = False
    mirror_y: bool = False
    sort_time: bool = False
    ignore_external_bit: bool = False


class _RawEvents(NamedTuple):
    """Addresses of 15 bits and times, as they stand in the file; the byte of each event; counts of what was skipped."""

    address: NDArray[np.uint32]
    time: NDArray[np.uint32]
    byte: NDArray[np.int64] | range
    skipped: dict[str, int]


def read_aedat2(
    path: Path,
    on_bit: int = 1,
    mirror_x: bool = False,
    mirror_y: bool = False,
    sort_time: bool = False,
    ignore_external_bit: bool = False,
) -> Events:
    """Read the events of an AEDAT 2.0 file of a DVS128; time starts at the first one.

    Args:
        path: the file.
        on_bit: the value of the polarity bit, 0 or 1, that means ON (more light).
        mirror_x: exchange left and right: x = 127 less bits 1..7, for recordings whose x counts from the right.
        mirror_y: exchange top and bottom: y = bits 8..14, for recordings whose y counts from the top.
        sort_time: sort events whose time goes backward, instead of refusing the file.
        ignore_external_bit: read a file in which every event has bit 15 set as if none had.

    Raises:
        DataError: names the file, the byte and what was expected: another kind of file, another camera, a header that does
            not end, an event that is cut short, an address with other bits, time that goes backward, no events of pixels.
    """
    reading = load_aedat2(path, AEDAT2Options(on_bit, mirror_x, mirror_y, sort_time, ignore_external_bit))
    log_remarks(path, reading)
    return reading.events


def load_aedat2(path: Path, options: AEDAT2Options) -> Reading:
    """What `read_aedat2` reads, with its parts and remarks, and no word in the log. Raises DataError."""
    raw = _pixel_events(*_whole_events(read_bytes(path), path), path, options.ignore_external_bit)
    short = raw.address.astype(np.int16)
    x, y = short >> 1 & 127, short >> 8
    polarity = (short & 1).astype(bool)
    events = Events(
        unwrap(raw.time),
        DVS128[1] - 1 - x if options.mirror_x else x,
        y if options.mirror_y else DVS128[0] - 1 - y,
        polarity if options.on_bit else ~polarity,
    )
    clock = Clock(path, lambda index: int(raw.byte[index]), raw.time)
    events, parts, remarks = in_order(events, clock, options.sort_time)
    first = int(events.t[0])
    if first:  # sorted to the front
        events, parts = (
            events._replace(t=events.t - first),
            tuple(part._replace(shift=part.shift - first) for part in parts),
        )
    return Reading(events, parts, raw.skipped | remarks)


def _whole_events(data: bytes, path: Path) -> tuple[NDArray[np.void], int, str | None]:
    """All events, the first one's byte, and the camera that the header names. Raises DataError for a cut event."""
    start = end_of_header(data, "2.0", path)
    size = _RAW_EVENT.itemsize
    if (len(data) - start) % size:
        found = f"the file ends after {(len(data) - start) % size} bytes of an event"
        raise broken(path, len(data) - (len(data) - start) % size, found, f"{size} bytes")
    chip = chip_of(data[:start])
    if chip is not None and "davis" in chip.lower():
        raise other_kind(path, f"a recording of a {chip}, as its header says, in AEDAT 2.0")
    return np.frombuffer(data, _RAW_EVENT, offset=start), start, chip


def _pixel_events(raw: NDArray[np.void], start: int, chip: str | None, path: Path, ignore: bool) -> _RawEvents:
    """The events of pixels, without external and special ones. Raises DataError for an address that no DVS128 has."""
    address, time = raw["address"].astype(np.uint32), raw["time"].astype(np.uint32)
    byte = range(start, start + raw.nbytes, raw.itemsize)
    if not int(np.bitwise_or.reduce(address)) >> 15:
        return _RawEvents(address, time, byte, {})
    _check_camera(address, byte, chip, path)
    special = address >= _SPECIAL
    external = (address & _EXTERNAL).astype(bool) & ~special
    num_special, num_external = int(special.sum()), int(external.sum())
    if num_external and num_external + num_special == len(address):
        if not ignore:
            raise _all_external(path, num_external)
        address, num_external = address & ~np.uint32(_EXTERNAL), 0
    kept = np.flatnonzero(address < _EXTERNAL)
    if not len(kept):
        raise DataError(
            f"{path}: all {num_special} events are special (bit 31 of the address), expected some of pixels"
        )
    counts = {"external events skipped": num_external, "special events skipped": num_special}
    skipped = {name: count for name, count in counts.items() if count}
    return _RawEvents(address[kept], time[kept], start + raw.itemsize * kept, skipped)


def _check_camera(address: NDArray[np.uint32], byte: range, chip: str | None, path: Path) -> None:
    """Raise DataError for addresses with bits that a DVS128 does not have: another camera's, or a damaged file's."""
    foreign = (address & np.uint32(_FOREIGN)).astype(bool)
    index = first_true(foreign)
    if index is None:
        return
    if chip is not None and "dvs128" not in chip.lower() and "tmpdiff128" not in chip.lower():
        raise other_kind(path, f"a recording of a {chip}, as its header says, in AEDAT 2.0")
    if 2 * foreign.sum() > len(address):
        bits = int(np.bitwise_or.reduce(address)).bit_length()
        found = f"an AEDAT 2.0 file with addresses of {bits} bits, such as {address[index]:#x}, which a DAVIS writes"
        raise other_kind(path, f"{found}, and other cameras of more pixels")
    expected = "15 bits, as a DVS128 has, or bit 15 (external events) or bit 31 (special ones) besides"
    raise broken(path, byte[index], f"address {address[index]:#x}", expected)


def _all_external(path: Path, count: int) -> DataError:
    return DataError(
        f"{path}: each of its {count} addresses has bit 15 set, which marks an external event, so none would belong to a "
        "pixel; some tools set it everywhere when they rewrite a recording: if this is one of theirs, "
        "dataset.ignore_external_bit=true reads it as if the bit were not set"
    )


def unwrap(time: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Times of 32 bits as times from 0 on without wraps: steps are taken modulo 2^32, into -2^31..2^31-1.

    A clock that is reset later than 35 minutes looks like a wrap behind a long silence. It is taken as a reset, a step
    backward, where that silence would be more than a minute, ends just where the clock starts, and time stays there.
    """
    steps = np.diff(time, prepend=time[:1]).view(np.int32)
    t = np.cumsum(steps, dtype=np.int64)
    if steps.max() > _LONGEST_SILENCE:
        at = np.flatnonzero((steps > _LONGEST_SILENCE) & (time < NEAR_ZERO))
        at = at[time[at] < time[at - 1]]
        at = at[stays_back(time.astype(np.int64), at, np.zeros_like(at))]
        np.subtract.at(steps := steps.astype(np.int64), at, 2**32)
        t = np.cumsum(steps)
    return t
