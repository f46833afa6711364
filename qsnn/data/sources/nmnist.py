"""N-MNIST: 70,000 digits, recorded with a 34 x 34 pixel event camera that moved in three saccades."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qsnn.data.events.options import EventData, Extent
from qsnn.data.formats.nmnist import NMNIST_SENSOR, read_nmnist
from qsnn.data.recording import Recording
from qsnn.data.sources.files import check_root, files_fingerprint, root_of
from qsnn.errors import DataError
from qsnn.options import key, option

ADVICE = (
    "download Train.zip and Test.zip from Garrick Orchard's N-MNIST page, unpack both into one folder, so that it holds "
    "Train/<digit>/<id>.bin and Test/<digit>/<id>.bin, and give that folder as dataset.root=..."
)


class NMNIST:
    """The official folders ``Train/<digit>/<id>.bin`` and ``Test/<digit>/<id>.bin`` below ``root``.

    A file is a recording, its label is the digit. Recordings are independent: each is a group of its own.
    """

    name = "nmnist"
    classes = tuple("0123456789")
    sensor = NMNIST_SENSOR
    in_time = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: list[Path] | None = None

    def files(self) -> list[Path]:
        """The recordings: training first, by digit and name. Raises DataError where there are none."""
        if self._files is None:
            check_root(self.root, ADVICE)
            found = []
            for part in ("Train", "Test"):
                files = [path for digit in self.classes for path in sorted((self.root / part / digit).glob("*.bin"))]
                if not files:
                    raise DataError(f"{self.root / part} holds no <digit>/<id>.bin; {ADVICE}")
                found += files
            self._files = found
        return self._files

    def fingerprint(self) -> str:
        """A hash of the files' names, sizes and times. Raises DataError."""
        return files_fingerprint(self.files(), self.root, {"source": self.name})

    def __len__(self) -> int:
        return len(self.files())

    def recordings(self) -> Iterator[Recording]:
        """Read one file after the other. Raises DataError."""
        for path in self.files():
            name = path.relative_to(self.root).with_suffix("").as_posix()
            yield Recording(name, int(path.parent.name), name, name.startswith("Test"), read_nmnist(path))


@option("dataset", "nmnist")
@dataclass
class NMNISTOption(EventData):
    """Garrick Orchard's N-MNIST: 10 digits, 34 x 34 pixels, about 0.3 s each; needs its folder as dataset.root."""

    root: str | None = key(None, "folder that holds Train/<digit>/<id>.bin and Test/<digit>/<id>.bin")
    window_train: float = key(0.3, "length of the random windows in training", "s", above=0)
    window_test: float = key(0.3, "length of the first window, on which is tested", "s", above=0)
    downsample: int = key(
        1, "pixels of the sensor, in both directions, that become one", "pixels", "ds", at_least=1, at_most=128
    )

    def extent(self) -> Extent:
        """The same of every release."""
        return Extent(NMNIST.sensor, len(NMNIST.classes))

    def source(self) -> NMNIST:
        """The release, or a part of it. Raises ConfigError without a root."""
        return NMNIST(root_of(self.root, ADVICE))
