"""Write events as an AEDAT 3.1 file, the format of the IBM DVS128 Gesture set; see `qsnn.data.formats.aedat3` for its parts."""

import struct
from pathlib import Path

import numpy as np

from qsnn.data.recording import Events
from qsnn.errors import DataError

EVENTS_PER_PACKET = 4096
_HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"
_PACKET = struct.Struct("<hhiiiiii")
_POLARITY_EVENT, _SOURCE, _EVENT_BYTES, _TIME_OFFSET = 1, 1, 8, 4
_TIME_BITS, _PLACE_BITS = 31, 15


def _check(path: Path, events: Events) -> None:
    """DataError for events that the format has no bits for, or out of order."""
    if not len(events.t):
        raise DataError(f"{path}: there are no events to write")
    if events.t[0] < 0 or events.t[-1] >> _TIME_BITS > np.iinfo(np.int32).max or (np.diff(events.t) < 0).any():
        raise DataError(f"{path}: times must be 0 to 2^62 - 1 us and must not go backward")
    if min(events.x.min(), events.y.min()) < 0:
        raise DataError(f"{path}: x and y must be 0 to {2**_PLACE_BITS - 1}")


def write_aedat3(path: Path, events: Events) -> None:
    """Write ``events`` in the order of time, all valid, as packets of at most EVENTS_PER_PACKET; replaces the file.

    A packet holds events of one overflow, which is the time's part above its lowest 31 bits.

    Raises:
        DataError: no events, a time or place that does not fit, or time that goes backward.
    """
    _check(path, events)
    overflow = events.t >> _TIME_BITS
    raw = np.empty((len(events.t), 2), dtype="<u4")
    raw[:, 0] = events.x.astype(np.uint32) << 17 | events.y.astype(np.uint32) << 2 | events.polarity << 1 | 1
    raw[:, 1] = events.t & (1 << _TIME_BITS) - 1
    with path.open("wb") as file:
        file.write(_HEADER)
        for first in np.unique(overflow, return_index=True)[1]:
            behind = int(np.searchsorted(overflow, overflow[first], "right"))
            for begin in range(int(first), behind, EVENTS_PER_PACKET):
                number = min(EVENTS_PER_PACKET, behind - begin)
                fields = (_TIME_OFFSET, int(overflow[begin]), EVENTS_PER_PACKET, number, number)
                file.write(_PACKET.pack(_POLARITY_EVENT, _SOURCE, _EVENT_BYTES, *fields))
                file.write(raw[begin : begin + number].tobytes())
