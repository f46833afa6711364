"""SLOW-POKER-DVS: four long recordings of poker cards, one of each suit, cut into pieces and split by time.

Recorded at the Instituto de Microelectronica de Sevilla with a 128 x 128 event camera, files of AEDAT 2.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events.options import EventData
from qsnn.data.formats.aedat2 import DVS128, AEDAT2Options, load_aedat2
from qsnn.data.formats.clock import log_remarks
from qsnn.data.recording import Events, Recording
from qsnn.data.sources.files import check_root, files_fingerprint, root_of
from qsnn.errors import DataError
from qsnn.options import impossible, key, option

ADVICE = (
    "download the four recordings from the SLOW-POKER-DVS page of the neuromorphic group of IMSE-CNM, Sevilla, put them, "
    "unpacked, into one folder, each with its suit (club, diamond, heart, spade) in its name, and give that folder as "
    "dataset.root=..."
)


class Cutting(NamedTuple):
    """How a recording becomes pieces: each of ``duration`` seconds, or each of ``num_events``; one of the two is None.

    Pieces do not overlap, so no event is in two of them. What remains at the end, shorter than a piece, is left out.
    ``test_share`` of the pieces, the last ones of each recording, are for testing.
    """

    duration: float | None = 0.5
    num_events: int | None = None
    test_share: float = 0.2


class SlowPoker:
    """One ``.aedat`` file a suit below ``root``, found by the suit in its name. A group is a suit's recording.

    Time starts at 0 in every piece. Train and test are apart in time: within a recording every training event comes
    before every test event.
    """

    name = "slow_poker"
    classes = ("club", "diamond", "heart", "spade")
    sensor = DVS128
    in_time = True

    def __init__(self, root: Path, cutting: Cutting, options: AEDAT2Options) -> None:
        self.root = root
        self._cutting, self._options = cutting, options
        self._count: int | None = None

    def files(self) -> list[Path]:
        """The recordings in the order of ``classes``. Raises DataError unless each suit has exactly one."""
        check_root(self.root, ADVICE)
        found = sorted(path for path in self.root.rglob("*") if path.suffix.lower() == ".aedat" and path.is_file())
        files = []
        for suit in self.classes:
            own = [path for path in found if suit in path.name.lower()]
            if len(own) != 1:
                names = ", ".join(str(path.relative_to(self.root)) for path in own[:4]) or "none"
                raise DataError(
                    f"{self.root}: one .aedat file with {suit!r} in its name is needed, found {names}; {ADVICE}"
                )
            files += own
        return files

    def fingerprint(self) -> str:
        """A hash of the files' names, sizes and times, and of the options. Raises DataError."""
        options = {"source": self.name, **self._cutting._asdict(), **self._options._asdict()}
        return files_fingerprint(self.files(), self.root, options)

    def __len__(self) -> int:
        if self._count is None:  # only reading tells
            self._count = sum(
                len(piece_edges(load_aedat2(path, self._options).events.t, self._cutting)) for path in self.files()
            )
        return self._count

    def recordings(self) -> Iterator[Recording]:
        """Read one file after the other and cut it. Raises DataError."""
        for label, path in enumerate(self.files()):
            reading = load_aedat2(path, self._options)
            log_remarks(path, reading)
            events, remarks = reading.events, reading.remarks
            edges = piece_edges(events.t, self._cutting)
            num_test = max(1, round(self._cutting.test_share * len(edges)))
            if len(edges) < 2 or num_test == len(edges):
                raise DataError(
                    f"{path} lasts {events.t[-1] / 1e6:g} s with {len(events.t)} events: {len(edges)} whole pieces, of which "
                    f"{num_test} are for testing, leave none for training; cut shorter pieces or lower dataset.test_share"
                )
            for number, (first, behind, start) in enumerate(edges.tolist()):
                part = slice(first, behind)
                piece = Events(events.t[part] - start, events.x[part], events.y[part], events.polarity[part])
                suit, is_test = self.classes[label], number >= len(edges) - num_test
                yield Recording(f"{suit}/{number}", label, suit, is_test, piece, remarks if number == 0 else {})


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


@option("dataset", "slow_poker")
@dataclass
class SlowPokerOption(EventData):
    """SLOW-POKER-DVS of IMSE-CNM: 4 suits of cards, one long recording each; needs its folder as dataset.root."""

    root: str | None = key(None, "folder that holds the four recordings, .aedat with club, diamond ... in their names")
    window_test: float = key(0.5, "length of the first window, on which is tested", "s", above=0)
    piece_duration: float | None = key(
        0.5, "length of the pieces that a recording is cut into; null: by piece_events", "s", "500 ms, fixed",
        at_least=0.001, at_most=4000,
    )  # fmt: skip
    piece_events: int | None = key(
        None, "events of a piece; null: by piece_duration", "events", at_least=1, at_most=10**9
    )
    test_share: float = key(
        0.2, "share of each recording, at its end, that is for testing", "", "none", above=0, below=1
    )
    on_bit: int = key(1, "value of the polarity bit that means ON, 0 or 1; sources disagree", choices=(0, 1))
    mirror_x: bool = key(False, "exchange left and right: for recordings whose x counts from the right, not the left")
    mirror_y: bool = key(False, "exchange top and bottom: for recordings whose y counts from the top, not as jAER's do")
    sort_time: bool = key(
        False, "sort events whose time goes backward, between two resets of the clock, instead of refusing the file"
    )
    ignore_external_bit: bool = key(
        False, "read files in which each event has bit 15 set, which marks external ones, as if none had; else refused"
    )

    def problems(self) -> Iterator[str]:
        """Pieces that are cut neither by time nor by events, or by both."""
        yield from super().problems()
        if (self.piece_duration is None) == (self.piece_events is None):
            wanted = "set either it or dataset.piece_events, and the other to null"
            yield impossible("dataset.piece_duration", self.piece_duration, wanted)

    def source(self) -> SlowPoker:
        """The four recordings. Raises ConfigError without a root."""
        cutting = Cutting(self.piece_duration, self.piece_events, self.test_share)
        options = AEDAT2Options(**{name: getattr(self, name) for name in AEDAT2Options._fields})
        return SlowPoker(root_of(self.root, ADVICE), cutting, options)
