"""Recordings whose clock was set back: where a new part begins, and one time that goes on through all parts.

When a camera's clock is reset it starts again at 0, and what follows in the file is later, not earlier. Three things look
alike, a time below the one before it, and are told apart so:

- the format itself marks a reset there (AEDAT 3.1 has an event for it): a reset;
- time falls by more than DISORDER and stays there: most of the events before are later than the one it falls to, and most
  of those behind are earlier than the one it falls from. If it falls to below NEAR_ZERO, where clocks start, and does not
  only take back one step forward, which is how damaged times or packets look, that is a reset too. Otherwise it
  is one only if the user asks for order (``sort_time``);
- anything else: single events out of order, as old cameras write them, or single damaged times. Never a reset.
"""

import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.formats.event_file import backward, events_between, sorted_by_time, time_goes_backward, time_set_back
from qsnn.data.recording import Events
from qsnn.errors import DataError

log = logging.getLogger(__name__)

DISORDER = 100_000  # microseconds: counters in the cameras have 14 and 16 bits, losing a carry costs 16 or 65 ms
NEAR_ZERO = 1_000_000  # microseconds: a camera whose clock starts again sends its first events long before
_REACH = 16  # events on each side that tell whether a clock stays set back
_MAX_RESETS = 1000  # not marked: where more seem to be, the times are in no order at all
_MOST = 0.75  # of a fall, where one step forward made it: then it only takes that step back
_NO_RESETS: NDArray[np.int64] = np.empty(0, dtype=np.int64)


class Part(NamedTuple):
    """The events ``first`` to before ``behind``, recorded without a reset; their times are the camera's plus ``shift``."""

    first: int
    behind: int
    shift: int


class Reading(NamedTuple):
    """What is in an event file: ``events`` in the order of time, their ``parts``, and ``remarks``: counts of what was
    skipped, sorted or joined, by words such as "external events skipped"; nothing that did not occur."""

    events: Events
    parts: tuple[Part, ...]
    remarks: dict[str, int]


class Clock(NamedTuple):
    """What is known of an event file's time: ``path``; ``byte_of`` an event in it, for errors; ``camera_time`` [N], as the
    camera counted it, where it starts at 0; ``resets``: events in front of which the file marks a reset; ``largest_fall``:
    microseconds, beyond which a fall that is not marked may be a damaged packet's."""

    path: Path
    byte_of: Callable[[int], int]
    camera_time: NDArray[np.uint32] | NDArray[np.int64]
    resets: NDArray[np.int64] = _NO_RESETS
    largest_fall: int = 2**62


def log_remarks(path: Path, reading: Reading) -> None:
    """Tell what was skipped, sorted or joined in a file, if anything was."""
    if not reading.remarks:
        return
    found = ", ".join(f"{count} {name}" for name, count in reading.remarks.items())
    later = [f"{reading.events.t[part.first] / 1e6:g} s" for part in reading.parts[1:]]
    joined = f"; what follows a reset is taken as later, from {', '.join(later[:8])} on" if later else ""
    log.warning("%s: %s%s", path, found, joined)


def in_order(events: Events, clock: Clock, sort_time: bool) -> Reading:
    """Events as the file has them in the order of time: each part follows the one before, sorted inside if asked to.

    The first event of a part gets the time of the last one before: how long the pause was the file does not say.

    Raises:
        DataError: time goes backward inside a part and ``sort_time`` is false.
    """
    if backward(events.t) is None:
        return Reading(events, (Part(0, len(events.t), 0),), {})
    edges = [0, *part_starts(events.t, clock, sort_time), len(events.t)]
    t, pieces, parts, num_late = events.t.copy(), [], [], 0
    for first, behind in itertools.pairwise(edges):
        piece = events_between(events, first, behind)
        index = backward(piece.t)
        if index is not None and not sort_time:
            raise _out_of_order(events.t, first + index, clock)
        if index is not None:
            num_late += int((np.diff(piece.t) < 0).sum())
            piece = sorted_by_time(piece)
        shift = int(t[first - 1] - piece.t[0]) if first else 0
        t[first:behind] = piece.t + shift
        pieces.append(piece)
        parts.append(Part(first, behind, shift))
    x, y, polarity = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("x", "y", "polarity"))
    remarks = {"clock resets": len(parts) - 1, "events sorted by time": num_late}
    return Reading(Events(t, x, y, polarity), tuple(parts), {name: count for name, count in remarks.items() if count})


def part_starts(t: NDArray[np.int64], clock: Clock, every: bool) -> list[int]:
    """The events with which a new part begins, the first one left out.

    ``every``: also those where the file may be damaged instead.
    """
    falls = np.flatnonzero(t[1:] < t[:-1]) + 1
    marked = np.intersect1d(falls, clock.resets)
    falls = falls[t[falls - 1] - t[falls] > DISORDER]
    if not every:
        near = t[falls - 1] - t[falls] <= clock.largest_fall
        falls = falls[near & (clock.camera_time[falls] < NEAR_ZERO)]
    falls = falls[stays_back(t, falls, np.zeros_like(falls))]
    candidates = set() if len(falls) > _MAX_RESETS else set(falls.tolist())
    certain = set(marked.tolist())
    steps, starts, seen, longest = np.diff(t), [0], 0, 0
    for index in sorted(certain | candidates):
        longest = max(longest, int(steps[seen : index - 1].max(initial=0)))  # step forward in this part
        seen = index - 1
        runs_on = every or longest <= _MOST * (t[index - 1] - t[index])
        # Again, now that it is known where the part before begins.
        if index in certain or (runs_on and stays_back(t, np.array([index]), np.array([starts[-1]]))[0]):
            starts.append(index)
            seen, longest = index, 0
    return starts[1:]


def stays_back(t: NDArray[np.int64], falls: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether time stays set back at each event of ``falls``, whose part begins at ``starts``; see above.

    Looked at are 16 events on each side, fewer where there are few, and never a single one: that may be damaged.
    """
    before, behind = falls - starts, len(t) - falls
    reach_before, reach_behind = (np.clip((count + 1) // 2, 2, _REACH) for count in (before, behind))
    later, earlier = np.zeros_like(falls), np.zeros_like(falls)
    for distance in range(_REACH):
        left, right = np.maximum(falls - 1 - distance, 0), np.minimum(falls + distance, len(t) - 1)
        later += (distance < reach_before) & (t[left] > t[falls])
        earlier += (distance < reach_behind) & (t[right] < t[falls - 1])
    most = (2 * later > reach_before) & (2 * earlier > reach_behind)
    return most & (before >= 2) & (behind >= 2)


def _out_of_order(t: NDArray[np.int64], index: int, clock: Clock) -> DataError:
    """The error of event ``index``: it may begin a part all the same, which the user must decide."""
    offset = clock.byte_of(index)
    if index in part_starts(t, clock, every=True):
        return time_set_back(clock.path, offset, t, index)
    return time_goes_backward(clock.path, offset, t, index)
