"""The Heidelberg data sets: spoken digits (SHD) and commands (SSC) as spikes of 700 channels of an artificial cochlea.

Cramer et al., "The Heidelberg Spiking Data Sets for the Systematic Evaluation of Spiking Neural Networks", 2020.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.options import Extent, SpikeTrains
from qsnn.data.events.split import Split
from qsnn.data.formats.spikes_hdf5 import SpikeTrain, num_spike_trains, read_spikes
from qsnn.data.recording import Events, Recording
from qsnn.data.sources.files import check_root, files_fingerprint, root_of
from qsnn.errors import DataError
from qsnn.options import key, option

NUM_UNITS = 700


class Release(NamedTuple):
    """A data set as it is published: ``parts``: of its files <name>_<part>.h5, the last one for testing; ``speakers``: whether
    each file must name them."""

    name: str
    num_classes: int
    parts: tuple[str, ...]
    speakers: bool

    @property
    def advice(self) -> str:
        """Where to get it."""
        files = [f"{self.name}_{part}.h5" for part in self.parts]
        return (
            f"download {', '.join(f'{file}.gz' for file in files)} from the page of the Heidelberg spiking data sets, unpack "
            f"them into one folder, so that it holds {' and '.join(files)}, and give that folder as dataset.root=..."
        )


SHD = Release("shd", 20, ("train", "test"), speakers=True)
SSC = Release("ssc", 35, ("train", "valid", "test"), speakers=False)


class HeidelbergSpikes:
    """A release's files below ``root``; see `qsnn.data.events.source.EventSource`.

    A channel is a pixel of a sensor of one row, every spike an ON event. Classes are called by their numbers. A recording's
    group is its speaker, who lies on one side of train and validation, and of folds; without one it is a group of its own.
    Names are <part>/<number>.
    """

    sensor = (1, NUM_UNITS)
    in_time = False

    def __init__(self, root: Path, release: Release) -> None:
        self.root, self.release, self.name = root, release, release.name
        self.classes = tuple(str(label) for label in range(release.num_classes))

    def files(self) -> dict[str, Path]:
        """The files by part. Raises DataError if one is missing."""
        check_root(self.root, self.release.advice)
        files = {part: self.root / f"{self.name}_{part}.h5" for part in self.release.parts}
        for path in files.values():
            if not path.is_file():
                packed = next(iter(sorted(self.root.glob(f"{path.name}.*"))), None)
                found = (
                    f"{path.name} is not there, but {packed.name}: unpack it" if packed else f"{path.name} is missing"
                )
                raise DataError(f"{self.root}: {found}; {self.release.advice}")
        return files

    def fingerprint(self) -> str:
        """A hash of the files' names, sizes and times. Raises DataError."""
        return files_fingerprint(self.files().values(), self.root, {"source": self.name})

    def __len__(self) -> int:
        return sum(num_spike_trains(path) for path in self.files().values())

    def recordings(self) -> Iterator[Recording]:
        """Read one recording after the other. Raises DataError."""
        for part, path in self.files().items():
            trains = read_spikes(path, NUM_UNITS, self.release.num_classes, self.release.speakers)
            for number, train in enumerate(trains):
                yield self._recording(part, number, train)

    def _recording(self, part: str, number: int, train: SpikeTrain) -> Recording:
        name = f"{part}/{number}"
        group = name if train.speaker is None else f"speaker {train.speaker}"
        events = Events(train.t, train.unit, np.zeros_like(train.unit), np.ones(len(train.unit), dtype=bool))
        remarks = {"spikes sorted by time": train.num_late} if train.num_late else {}
        return Recording(name, train.label, group, part == self.release.parts[-1], events, remarks)


@option("dataset", "shd")
@dataclass
class SHDOption(SpikeTrains):
    """Heidelberg spoken digits: 20 classes, 700 channels, about 1 s each; needs its folder as dataset.root, and h5py."""

    root: str | None = key(None, "folder that holds shd_train.h5 and shd_test.h5")
    window_train: float = key(1.0, "length of the random windows in training", "s", above=0)
    window_test: float = key(1.0, "length of the first window, on which is tested", "s", above=0)

    def extent(self) -> Extent:
        """That of the release."""
        return Extent(HeidelbergSpikes.sensor, SHD.num_classes)

    def source(self) -> HeidelbergSpikes:
        """The release. Raises ConfigError without a root."""
        return HeidelbergSpikes(root_of(self.root, SHD.advice), SHD)


@option("dataset", "ssc")
@dataclass
class SSCOption(SpikeTrains):
    """Spiking speech commands: 35 classes, 700 channels, about 1 s each; needs its folder as dataset.root, and h5py."""

    root: str | None = key(None, "folder that holds ssc_train.h5, ssc_valid.h5 and ssc_test.h5")
    window_train: float = key(1.0, "length of the random windows in training", "s", above=0)
    window_test: float = key(1.0, "length of the first window, on which is tested", "s", above=0)
    validation_share: float = key(
        0.1, "0: ssc_valid.h5 trains too, and nothing validates; else ssc_valid.h5 validates, and with num_folds such a share",
        at_least=0, below=1,
    )  # fmt: skip

    def extent(self) -> Extent:
        """That of the release."""
        return Extent(HeidelbergSpikes.sensor, SSC.num_classes)

    def source(self) -> HeidelbergSpikes:
        """The release. Raises ConfigError without a root."""
        return HeidelbergSpikes(root_of(self.root, SSC.advice), SSC)

    def split(self, prepared: EventDataset) -> Split:
        """The release's own three parts; with ``num_folds`` folds over all of them. Raises DataError."""
        if self.num_folds is not None or self.validation_share == 0:
            return super().split(prepared)
        is_valid = np.char.startswith(prepared.names, "valid/")
        return Split(*(np.flatnonzero(part) for part in (~is_valid & ~prepared.is_test, is_valid, prepared.is_test)))
