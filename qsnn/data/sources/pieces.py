"""Long recordings cut into pieces: by time or by number of events."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.recording import Events
from qsnn.errors import DataError

LEAST_PIECES = 10  # of a recording that is cut by itself: with the usual shares 6 train, 2 validate and 2 test


class Cutting(NamedTuple):
    """How a recording becomes pieces: each of ``duration`` seconds, or each of ``num_events``; one of the two is None.

    Pieces do not overlap, so no event is in two of them. What remains at the end, shorter than a piece, is left out.
    ``test_share`` of the pieces, the last ones of each recording, are for testing.
    """

    duration: float | None = 0.5
    num_events: int | None = None
    test_share: float = 0.2


class AutomaticCutting(NamedTuple):
    """How recordings are cut where whole ones are too few for a split in which validation has ``validation_share``:
    into pieces of ``longest`` seconds, or shorter ones, so that the shortest recording has `LEAST_PIECES`."""

    longest: float
    validation_share: float

    def piece_duration(self, shortest: int) -> float:
        """Length of a piece in s, whole milliseconds, where the shortest recording lasts ``shortest`` microseconds."""
        return max(1, math.floor(min(self.longest * 1e3, shortest / 1e3 / LEAST_PIECES) + 1e-6)) / 1e3


def piece_edges(t: NDArray[np.int64], cutting: Cutting) -> NDArray[np.int64]:
    """[pieces, 3]: index of the first event, index behind the last one, time 0 of the piece. Empty pieces are left out.

    ``t``: microseconds from 0 on, not decreasing.
    """
    if cutting.num_events is not None:
        first = np.arange(0, len(t) - cutting.num_events + 1, cutting.num_events, dtype=np.int64)
        return np.stack([first, first + cutting.num_events, t[first]], axis=1)
    assert cutting.duration is not None
    length = round(cutting.duration * 1e6)
    whole = int(t[-1] + 1) // length
    pieces = np.unique(t[: np.searchsorted(t, whole * length)] // length)
    start = pieces * length
    return np.stack([np.searchsorted(t, start), np.searchsorted(t, start + length), start], axis=1)


def num_test_pieces(path: Path, t: NDArray[np.int64], edges: NDArray[np.int64], test_share: float) -> int:
    """How many of the pieces ``edges`` of a recording, the last ones, are for testing. Raises DataError for too few."""
    num_test = max(1, round(test_share * len(edges)))
    if len(edges) < 2 or num_test == len(edges):
        raise DataError(
            f"{path} lasts {t[-1] / 1e6:g} s with {len(t)} events: {len(edges)} whole pieces, of which "
            f"{num_test} are for testing, leave none for training; cut shorter pieces or lower dataset.test_share"
        )
    return num_test


def cut(events: Events, edges: NDArray[np.int64]) -> Iterator[Events]:
    """The pieces, each with its own time 0. ``edges``: from `piece_edges`."""
    for first, behind, start in edges.tolist():
        part = slice(first, behind)
        yield Events(events.t[part] - start, events.x[part], events.y[part], events.polarity[part])
