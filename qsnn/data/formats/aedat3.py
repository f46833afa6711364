"""AEDAT 3.1, the files of cAER and DV: packets of events of several types, of which the polarity events are read.

Format: https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-3.1.html. After the text header,
packets of a 28-byte header and `eventNumber` events each, all little endian. A polarity event is 8 bytes: bit 0 of the
first word says that it is valid, bit 1 that it is ON, bits 2..16 are y from the top, bits 17..31 are x; the second word is
a time in microseconds, to which the packet's `eventTSOverflow` adds multiples of 2^31.

Order of time: where the camera's clock was reset, which a special event (type 0) of kind 1 tells, a new part begins
(`qsnn.data.formats.clock`). Otherwise events of one source (a camera) must not go backward, neither within a packet nor from
packet to packet; where they do the file is refused, or sorted if asked to. Packets of several sources may interleave: they
are merged. A reset in a file of several sources is refused, because nothing tells how their clocks belong together.
"""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qsnn.data.formats.aedat3_packets import (
    EVENT_BYTES,
    HEADER,
    POLARITY_EVENT,
    RAW_EVENT,
    SPECIAL_EVENT,
    Packet,
    packets_before_resets,
    read_packets,
)
from qsnn.data.formats.clock import Clock, Part, Reading, in_order, log_remarks, part_starts
from qsnn.data.formats.event_file import backward, broken, first_true, outside, sorted_by_time, time_goes_backward
from qsnn.data.formats.guard import read_bytes
from qsnn.data.recording import Events
from qsnn.errors import DataError

log = logging.getLogger(__name__)

_TIME_BITS = 31
LARGEST_FALL = 2**30  # microseconds: a packet whose overflow is damaged is later by 2^31 or more


def read_aedat3(path: Path, sensor: tuple[int, int], sort_time: bool = False) -> Events:
    """Read the valid polarity events of an AEDAT 3.1 file. Events of other types and invalid events are skipped.

    Time is the camera's own, in parts that follow a reset of its clock a later one.

    Args:
        path: the file.
        sensor: (height, width) in pixels.
        sort_time: sort events whose time goes backward, instead of refusing the file.

    Raises:
        DataError: names the file, the byte and what was expected: another kind of file, a header that does not end, a
            packet that is cut short or has impossible fields, a count of valid events that is wrong, an event outside
            of the sensor, time that goes backward, no polarity events at all.
    """
    reading = load_aedat3(path, sensor, sort_time)
    log_remarks(path, reading)
    return reading.events


def load_aedat3(path: Path, sensor: tuple[int, int], sort_time: bool = False) -> Reading:
    """What `read_aedat3` reads, with its parts and remarks. Raises DataError."""
    data = read_bytes(path)
    found = read_packets(data, path)
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
    resets = block.kept_from(packets_before_resets(data, found))
    clock = Clock(path, block.byte, events.t, resets, LARGEST_FALL)
    reading = _in_order(events, source[block.index], clock, sort_time)
    return reading._replace(remarks=_skipped(found, block) | reading.remarks)


def _skipped(packets: list[Packet], block: "_Block") -> dict[str, int]:
    """How many events are not read: invalid ones, and those of other types than polarity and special ones."""
    others = sum(packet.number for packet in packets if packet.type not in (SPECIAL_EVENT, POLARITY_EVENT))
    counts = {
        "invalid events skipped": 0 if isinstance(block.index, slice) else len(block.valid) - len(block.index),
        "events of other types skipped": others,
    }
    return {name: count for name, count in counts.items() if count}


def _in_order(events: Events, source: NDArray[np.int16], clock: Clock, sort_time: bool) -> Reading:
    """The events in the order of time. Raises DataError where that of one source goes backward."""
    if backward(events.t) is None or (source == source[0]).all():
        return in_order(events, clock, sort_time)
    num_late = 0
    for camera in np.unique(source):
        own = np.flatnonzero(source == camera)
        index = backward(events.t[own])
        if index is None:
            continue
        its_clock = clock._replace(camera_time=events.t[own], resets=np.searchsorted(own, clock.resets))
        resets = part_starts(events.t[own], its_clock, every=True)
        if resets:
            raise _reset_of_several(clock, int(own[resets[0]]), int(camera))
        if not sort_time:
            raise time_goes_backward(clock.path, clock.byte_of(int(own[index])), events.t[own], index)
        num_late += int((np.diff(events.t[own]) < 0).sum())
    remarks = {"events sorted by time": num_late} if num_late else {}
    return Reading(sorted_by_time(events), (Part(0, len(events.t), 0),), remarks)


def _reset_of_several(clock: Clock, index: int, camera: int) -> DataError:
    return DataError(
        f"{clock.path}, byte {clock.byte_of(index)}: the clock of source {camera} is reset in a file of several sources, and "
        "nothing tells how the clocks belong together; give files of one camera each"
    )


class _Block:
    """All polarity events of a file, one behind the other, and where in the file each one lies."""

    def __init__(self, data: bytes, packets: list[Packet], path: Path) -> None:
        raw = np.concatenate([np.frombuffer(data, RAW_EVENT, packet.number, packet.offset) for packet in packets])
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
        return self.packets[packet].offset + EVENT_BYTES * (index - int(self.starts[packet]))

    def kept_from(self, packets_before: list[int]) -> NDArray[np.int64]:
        """The first valid event behind so many packets of each entry."""
        first = np.append(self.starts, len(self.word))[packets_before].astype(np.int64)
        return first if isinstance(self.index, slice) else np.searchsorted(self.index, first)

    def check_counts(self) -> None:
        """Raise DataError where a packet's header counts other valid events than there are."""
        counts = np.add.reduceat(self.valid, self.starts, dtype=np.int64)
        wrong = first_true(counts != np.array([packet.valid for packet in self.packets]))
        if wrong is not None:
            packet, found = self.packets[wrong], f"a packet with {counts[wrong]} events that are marked valid"
            raise broken(self.path, packet.offset - HEADER.size, found, f"{packet.valid}, as its header counts")

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
