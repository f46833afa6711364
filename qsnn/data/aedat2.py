"""AEDAT 2.0, the files of jAER, with the events of a DVS128.

Format: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-2.0.html. After lines of #, 8 bytes
an event, big endian: an address (bit 0 polarity, bits 1..7 x, bits 8..14 y) and a time in microseconds.

Sources disagree on which value of bit 0 is ON and on where x and y begin, so these are options; the defaults take the
bits as they are. The time has 32 bits and wraps: from one event to the next it is taken modulo 2^32, so that a step of
less than 35 minutes forward is a step forward, and one backward is one backward. Time that goes backward is refused, or
sorted if asked to: old cameras lose the order now and then.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qsnn.data.event_files import backward, broken, end_of_header, first_true, sorted_by_time, time_goes_backward
from qsnn.data.events import Events
from qsnn.data.guard import read_bytes

DVS128 = (128, 128)  # height, width
_RAW_EVENT = np.dtype([("address", ">u4"), ("time", ">u4")])
_ADDRESS_BITS = 15


def _whole_events(data: bytes, path: Path) -> tuple[int, NDArray[np.uint32], NDArray[np.uint32]]:
    """The first event's byte; addresses and times as they stand in the file. Raises DataError for what no DVS128 writes."""
    start = end_of_header(data, "2.0", path)
    size = _RAW_EVENT.itemsize
    if (len(data) - start) % size:
        found = f"the file ends after {(len(data) - start) % size} bytes of an event"
        raise broken(path, len(data) - (len(data) - start) % size, found, f"{size} bytes")
    raw = np.frombuffer(data, _RAW_EVENT, offset=start)
    address = raw["address"].astype(np.uint32)
    index = first_true(address >= 1 << _ADDRESS_BITS) if address.max() >= 1 << _ADDRESS_BITS else None
    if index is not None:
        raise broken(path, start + size * index, f"address {address[index]:#x}", "15 bits, as a DVS128 has")
    return start, address, raw["time"].astype(np.uint32)


def read_aedat2(
    path: Path, on_bit: int = 1, mirror_x: bool = False, mirror_y: bool = False, sort_time: bool = False
) -> Events:
    """Read the events of an AEDAT 2.0 file of a DVS128; time starts at the first one.

    Args:
        path: the file.
        on_bit: the value of the polarity bit, 0 or 1, that means ON (more light).
        mirror_x: exchange left and right, x to 127 - x.
        mirror_y: exchange top and bottom, y to 127 - y.
        sort_time: sort events whose time goes backward, instead of refusing the file.

    Raises:
        DataError: names the file, the byte and what was expected: another kind of file, a header that does not end, an
            event that is cut short, an address with more than 15 bits, time that goes backward, no events.
    """
    start, address, time = _whole_events(read_bytes(path), path)
    short = address.astype(np.int16)
    x, y = short >> 1 & 127, short >> 8
    polarity = (short & 1).astype(bool)
    events = Events(
        unwrap(time),
        DVS128[1] - 1 - x if mirror_x else x,
        DVS128[0] - 1 - y if mirror_y else y,
        polarity if on_bit else ~polarity,
    )
    index = backward(events.t)
    if index is None:
        return events
    if not sort_time:
        raise time_goes_backward(path, start + _RAW_EVENT.itemsize * index, events.t, index)
    ordered = sorted_by_time(events)
    return ordered._replace(t=ordered.t - ordered.t[0])


def unwrap(time: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Times of 32 bits as times from 0 on without wraps: steps are taken modulo 2^32, into -2^31..2^31-1."""
    steps = np.diff(time, prepend=time[:1]).view(np.int32)
    return np.cumsum(steps, dtype=np.int64)
