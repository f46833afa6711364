"""AEDAT 3.1, the files of cAER and DV: packets of events of several types, of which the polarity events are read.

Format: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html. After the text header,
packets of a 28-byte header and `eventNumber` events each, all little endian. A polarity event is 8 bytes: bit 0 of the
first word says that it is valid, bit 1 that it is ON, bits 2..16 are y from the top, bits 17..31 are x; the second word is
a time in microseconds, to which the packet's `eventTSOverflow` adds multiples of 2^31.

Order of time: events of one source (a camera) must not go backward, neither within a packet nor from packet to packet;
where they do the file is refused, or sorted if asked to. Packets of several sources may interleave: they are merged.
"""

import logging
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.event_files import (
    backward,
    broken,
    end_of_header,
    first_true,
    outside,
    sorted_by_time,
    time_goes_backward,
)
from qsnn.data.events import Events
from qsnn.data.guard import read_bytes

log = logging.getLogger(__name__)

SPECIAL_EVENT, POLARITY_EVENT = 0, 1
_HEADER = struct.Struct("<hhiiiiii")
_EVENT_BYTES = 8
_TIME_OFFSET = 4
_TIME_BITS = 31
_LAST_TYPE, _FIRST_OWN_TYPE = 13, 100  # types of the format, and types that users may define
_RAW_EVENT = np.dtype([("data", "<u4"), ("time", "<i4")])


class _Packet(NamedTuple):
    type: int
    source: int
    size: int  # bytes of an event
    time_offset: int
    overflow: int
    capacity: int
    number: int
    valid: int
    offset: int  # of the first event in the file


def read_aedat3(path: Path, sensor: tuple[int, int], sort_time: bool = False) -> Events:
    """Read the valid polarity events of an AEDAT 3.1 file. Events of other types and invalid events are skipped.

    Args:
        path: the file.
        sensor: (height, width) in pixels.
        sort_time: sort events whose time goes backward, instead of refusing the file.

    Raises:
        DataError: names the file, the byte and what was expected: another kind of file, a header that does not end, a
            packet that is cut short or has impossible fields, a count of valid events that is wrong, an event outside
            of the sensor, time that goes backward, no polarity events at all.
    """
    data = read_bytes(path)
    found = _packets(data, path)
    others = sorted({packet.type for packet in found} - {SPECIAL_EVENT, POLARITY_EVENT})
    if others:  # a damaged type is indistinguishable from another one, so skipping is told
        log.warning("%s: skipping packets of event types %s; only polarity events are read", path, others)
    packets = [packet for packet in found if packet.type == POLARITY_EVENT and packet.number]
    if not any(packet.valid for packet in packets):
        raise broken(
            path, len(data), "the file ends without a valid polarity event", f"events of type {POLARITY_EVENT}"
        )
    block = _Block(data, packets, path)
    block.check_counts()
    t, source = block.times(), block.sources()
    events = Events(
        t[block.index],
        (block.word[block.index] >> 17).astype(np.int16),
        (block.word[block.index] >> 2 & 0x7FFF).astype(np.int16),
        (block.word[block.index] & 2).astype(bool),
    )
    block.check_place(events, sensor)
    return block.in_order(events, source[block.index], sort_time)


def _packets(data: bytes, path: Path) -> list[_Packet]:
    """Walk over the packets' headers, checking each."""
    packets = []
    position = end_of_header(data, "3.1", path)
    while position < len(data):
        if position + _HEADER.size > len(data):
            found = f"the file ends after {len(data) - position} bytes of a packet's header"
            raise broken(path, position, found, f"{_HEADER.size} bytes")
        packet = _Packet._make((*_HEADER.unpack_from(data, position), position + _HEADER.size))
        end = packet.offset + packet.number * packet.size
        problem = _problem(packet) or _too_long(packet, len(data) - packet.offset)
        if problem:
            raise broken(path, position, *problem)
        packets.append(packet)
        position = end
    return packets


def _problem(packet: _Packet) -> tuple[str, str] | None:
    """What is impossible about a packet's header, and what was expected; None if it is in order."""
    if packet.type < 0 or _LAST_TYPE < packet.type < _FIRST_OWN_TYPE:
        return f"a packet of event type {packet.type}", f"0..{_LAST_TYPE}, or {_FIRST_OWN_TYPE} and more for own types"
    if packet.source < 0 or packet.overflow < 0:
        return f"a packet of source {packet.source} and overflow {packet.overflow}", "both 0 or more"
    if not 0 <= packet.valid <= packet.number <= packet.capacity:
        found = f"a packet of {packet.valid} valid events of {packet.number} with room for {packet.capacity}"
        return found, "no more valid events than events, and no more events than room"
    fits = 0 <= packet.time_offset <= packet.size - 4
    if not fits:
        return f"events of {packet.size} bytes with the time at byte {packet.time_offset}", "the time inside the event"
    layout = (packet.size, packet.time_offset)
    if packet.type == POLARITY_EVENT and layout != (_EVENT_BYTES, _TIME_OFFSET):
        return "polarity events of {} bytes with the time at byte {}".format(*layout), "8 bytes with the time at byte 4"
    return None


def _too_long(packet: _Packet, left: int) -> tuple[str, str] | None:
    if packet.number * packet.size <= left:
        return None
    return (
        f"a packet of {packet.number} events of {packet.size} bytes, with {left} bytes left in the file",
        "all of them",
    )


class _Block:
    """All polarity events of a file, one behind the other, and where in the file each one lies."""

    def __init__(self, data: bytes, packets: list[_Packet], path: Path) -> None:
        raw = np.concatenate([np.frombuffer(data, _RAW_EVENT, packet.number, packet.offset) for packet in packets])
        self.word, self.time = np.ascontiguousarray(raw["data"]), np.ascontiguousarray(raw["time"])
        self.packets, self.path = packets, path
        self.numbers = np.array([packet.number for packet in packets])
        self.starts = np.cumsum(self.numbers) - self.numbers
        self.valid = (self.word & 1).astype(bool)
        # Mostly all events are valid; a slice then saves the copies that a mask would make.
        self.index: slice | NDArray[np.int64] = slice(None) if self.valid.all() else np.flatnonzero(self.valid)

    def byte(self, kept: int) -> int:
        """The byte where the valid event of index ``kept`` begins."""
        index = kept if isinstance(self.index, slice) else int(self.index[kept])
        packet = int(np.searchsorted(self.starts, index, "right")) - 1
        return self.packets[packet].offset + _EVENT_BYTES * (index - int(self.starts[packet]))

    def check_counts(self) -> None:
        """Raise DataError where a packet's header counts other valid events than there are."""
        counts = np.add.reduceat(self.valid, self.starts, dtype=np.int64)
        wrong = first_true(counts != np.array([packet.valid for packet in self.packets]))
        if wrong is not None:
            packet, found = self.packets[wrong], f"a packet with {counts[wrong]} events that are marked valid"
            raise broken(self.path, packet.offset - _HEADER.size, found, f"{packet.valid}, as its header counts")

    def times(self) -> NDArray[np.int64]:
        """Microseconds since the start of the recording. Raises DataError for a negative time of a valid event."""
        index = first_true(self.time[self.index] < 0)
        if index is not None:
            time = int(self.time[self.index][index])
            raise broken(self.path, self.byte(index), f"an event at {time} us", "a time of 31 bits, from 0 on")
        overflow = np.array([packet.overflow for packet in self.packets], dtype=np.int64) << _TIME_BITS
        return self.time + (np.repeat(overflow, self.numbers) if overflow.any() else np.int64(0))

    def sources(self) -> NDArray[np.int16]:
        """The source of each event."""
        return np.repeat(np.array([packet.source for packet in self.packets], dtype=np.int16), self.numbers)

    def check_place(self, events: Events, sensor: tuple[int, int]) -> None:
        """Raise DataError for an event outside of the sensor."""
        index = outside(events.x, events.y, sensor)
        if index is not None:
            found = f"an event at x = {events.x[index]}, y = {events.y[index]}"
            raise broken(self.path, self.byte(index), found, f"x below {sensor[1]} and y below {sensor[0]}")

    def in_order(self, events: Events, source: NDArray[np.int16], sort_time: bool) -> Events:
        """The events in the order of time. Raises DataError where that of one source goes backward."""
        if backward(events.t) is None:
            return events
        for camera in np.unique(source) if not sort_time else ():
            own = np.flatnonzero(source == camera)
            index = backward(events.t[own])
            if index is not None:
                raise time_goes_backward(self.path, self.byte(int(own[index])), events.t[own], index)
        return sorted_by_time(events)
