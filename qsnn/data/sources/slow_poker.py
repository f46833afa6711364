"""SLOW-POKER-DVS: four long recordings of poker cards, one of each suit, cut into pieces and split by time.

Recorded at the Instituto de Microelectronica de Sevilla with a 128 x 128 event camera, files of AEDAT 2.0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qsnn.data.events.options import EventData, Extent
from qsnn.data.formats.aedat2 import DVS128, AEDAT2Options, load_aedat2
from qsnn.data.formats.clock import log_remarks
from qsnn.data.recording import Recording
from qsnn.data.sources.files import check_root, files_fingerprint, root_of
from qsnn.data.sources.pieces import Cutting, cut, num_test_pieces, piece_edges
from qsnn.errors import DataError
from qsnn.options import impossible, key, option

ADVICE = (
    "download the four recordings from the SLOW-POKER-DVS page of the neuromorphic group of IMSE-CNM, Sevilla, put them, "
    "unpacked, into one folder, each with its suit (club, diamond, heart, spade) in its name, and give that folder as "
    "dataset.root=..."
)


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
            num_test = num_test_pieces(path, events.t, edges, self._cutting.test_share)
            for number, piece in enumerate(cut(events, edges)):
                suit, is_test = self.classes[label], number >= len(edges) - num_test
                yield Recording(f"{suit}/{number}", label, suit, is_test, piece, remarks if number == 0 else {})


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

    def extent(self) -> Extent:
        """The same of every release."""
        return Extent(SlowPoker.sensor, len(SlowPoker.classes))

    def source(self) -> SlowPoker:
        """The four recordings. Raises ConfigError without a root."""
        cutting = Cutting(self.piece_duration, self.piece_events, self.test_share)
        options = AEDAT2Options(**{name: getattr(self, name) for name in AEDAT2Options._fields})
        return SlowPoker(root_of(self.root, ADVICE), cutting, options)
