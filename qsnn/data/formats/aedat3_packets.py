"""The packets of an AEDAT 3.1 file: their headers, each checked, and where the format says that a clock was reset.

See `qsnn.data.formats.aedat3` for the format.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsnn.data.formats.aedat_header import end_of_header
from qsnn.data.formats.event_file import broken

SPECIAL_EVENT, POLARITY_EVENT = 0, 1
HEADER = struct.Struct("<hhiiiiii")
EVENT_BYTES = 8
_TIME_OFFSET = 4
_LAST_TYPE, _FIRST_OWN_TYPE = 13, 100  # types of the format, and types that users may define
RAW_EVENT = np.dtype([("data", "<u4"), ("time", "<i4")])
_KIND_MASK, _RESET = 0xFF, 1 | 1 << 1  # bits 0..7 of a special event: valid, and of kind 1


class Packet(NamedTuple):
    """A packet's header, and where its events lie."""

    type: int
    source: int
    size: int  # bytes of an event
    time_offset: int
    overflow: int
    capacity: int
    number: int
    valid: int
    offset: int  # of the first event in the file


def read_packets(data: bytes, path: Path) -> list[Packet]:
    """Walk over the packets' headers, checking each."""
    packets = []
    position = end_of_header(data, "3.1", path)
    while position < len(data):
        if position + HEADER.size > len(data):
            found = f"the file ends after {len(data) - position} bytes of a packet's header"
            raise broken(path, position, found, f"{HEADER.size} bytes")
        packet = Packet._make((*HEADER.unpack_from(data, position), position + HEADER.size))
        end = packet.offset + packet.number * packet.size
        problem = _problem(packet) or _too_long(packet, len(data) - packet.offset)
        if problem:
            raise broken(path, position, *problem)
        packets.append(packet)
        position = end
    return packets


def _problem(packet: Packet) -> tuple[str, str] | None:
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
    if packet.type == POLARITY_EVENT and layout != (EVENT_BYTES, _TIME_OFFSET):
        return "polarity events of {} bytes with the time at byte {}".format(*layout), "8 bytes with the time at byte 4"
    return None


def _too_long(packet: Packet, left: int) -> tuple[str, str] | None:
    if packet.number * packet.size <= left:
        return None
    return (
        f"a packet of {packet.number} events of {packet.size} bytes, with {left} bytes left in the file",
        "all of them",
    )


def packets_before_resets(data: bytes, packets: list[Packet]) -> list[int]:
    """For each packet with a valid event that the clock was reset: how many packets of polarity events lie before it."""
    found, before = [], 0
    for packet in packets:
        if packet.type == POLARITY_EVENT and packet.number:
            before += 1
        if packet.type == SPECIAL_EVENT and packet.size == EVENT_BYTES:
            words = np.frombuffer(data, RAW_EVENT, packet.number, packet.offset)["data"]
            if (words & _KIND_MASK == _RESET).any():
                found.append(before)
    return found
