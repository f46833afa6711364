"""Labelled spikes of one's own in a .npz: dataset=arrays of channels, dataset=array_maps of pixels. docs/data/arrays.md."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.options import EventData, Recordings, SpikeTrains
from qsnn.data.events.split import Split, split
from qsnn.data.recording import Recording
from qsnn.data.sources.array_file import CHANNELS, HELP, PIXELS, TIME_UNITS, ArrayFile, Layout
from qsnn.data.sources.files import files_fingerprint
from qsnn.errors import ConfigError, DataError
from qsnn.options import impossible, key, option

MAX_CLASSES, MAX_NAME = 4000, 40  # what a cache's header has room for
DRAWN_FOLDS = 5  # without is_test one of so many is for testing
log = logging.getLogger(__name__)


class ArraySource:
    """The event source of both, see `qsnn.data.events.source.EventSource`: sample i is a recording called i.

    ``path``, ``layout``, ``time_unit``: of `ArrayFile`. Raises DataError where the file does not hold what it should.
    """

    in_time = False

    def __init__(self, path: Path, layout: Layout, time_unit: str) -> None:
        self.name, self.root = layout.option, path.parent
        self._arrays, self._time_unit = ArrayFile(path, layout, time_unit), time_unit
        self._labels = self._arrays.file.read("labels")
        self.classes = self._class_names()
        self.sensor = self._arrays.sensor

    def fingerprint(self) -> str:
        """A hash of the file's name, size and time, and of how its times are read. Raises DataError."""
        options = {"source": self.name, "time_unit": self._time_unit}
        return files_fingerprint([self._arrays.file.path], self.root, options)

    def __len__(self) -> int:
        return self._arrays.num_samples

    def recordings(self) -> Iterator[Recording]:
        """One sample after the other. Raises DataError."""
        groups, is_test = self._groups(), self._is_test()
        self._check_sides(groups, is_test)
        num_events = 0
        for number, events in enumerate(self._arrays.samples()):
            num_events += len(events.t)
            yield Recording(str(number), int(self._labels[number]), groups[number], bool(is_test[number]), events)
        if not num_events:
            raise self._arrays.file.error("there is not one spike in it")

    def _class_names(self) -> tuple[str, ...]:
        arrays, labels = self._arrays, self._labels
        if not arrays.has("classes"):
            right = (labels >= 0) & (labels < MAX_CLASSES)
            arrays.check("labels", labels, right, f"0..{MAX_CLASSES - 1}, classes from 0 on")
            return tuple(str(label) for label in range(int(labels.max()) + 1))
        limits = f"allowed are 1 to {MAX_CLASSES} different printable names of 1 to {MAX_NAME} characters"
        names = tuple(arrays.file.read("classes").tolist())
        if not 0 < len(names) <= MAX_CLASSES or len(set(names)) < len(names):
            raise arrays.file.error(f"classes has {len(names)} names, {len(set(names))} different ones; {limits}")
        for name in names:
            if not name.isprintable() or not 0 < len(name) <= MAX_NAME:
                raise arrays.file.error(f"classes has {ascii(name)[:60]}; {limits}")
        right = (labels >= 0) & (labels < len(names))
        arrays.check("labels", labels, right, f"0..{len(names) - 1}, a place in classes")
        return names

    def _groups(self) -> list[str]:
        if not self._arrays.has("groups"):
            return [str(number) for number in range(len(self))]
        return [str(group) for group in self._arrays.file.read("groups")]

    def _is_test(self) -> NDArray[np.bool_]:
        if not self._arrays.has("is_test"):
            return np.zeros(len(self), np.bool_)
        is_test = self._arrays.binary("is_test")
        if is_test.all() or not is_test.any():
            which = "every" if is_test.all() else "no"
            raise self._arrays.file.error(
                f"is_test marks {which} sample; mark some, or leave it out to have them drawn"
            )
        return is_test

    def _check_sides(self, groups: list[str], is_test: NDArray[np.bool_]) -> None:
        sides: dict[str, bool] = {}
        for group, side in zip(groups, is_test.tolist(), strict=True):
            if sides.setdefault(group, side) != side:
                wanted = "samples of a group, such as a person, must be all for testing or all not"
                raise self._arrays.file.error(f"is_test parts group {ascii(group)[:60]}; {wanted}")


@dataclass
class FileOfArrays(Recordings):
    """What both options share."""

    layout: ClassVar[Layout]

    file: str | None = key(None, "the .npz; docs/data/arrays.md says what it holds")
    time_unit: str = key("s", "unit of times in lists of events: s or us, microseconds", choices=tuple(TIME_UNITS))
    window_test: float = key(0.5, "length of the first window, on which is tested", "s", "1800 steps, fixed", above=0)

    def source(self) -> ArraySource:
        """The file, its head checked. Raises ConfigError without one, and DataError."""
        if not self.file:
            raise ConfigError(impossible("dataset.file", self.file, f"give a .npz, dataset.file=spikes.npz; {HELP}"))
        return ArraySource(Path(self.file).expanduser(), self.layout, self.time_unit)

    def prepare(self, progress: bool) -> EventDataset:
        """The prepared samples; the log tells of windows that do not reach their end. Raises ConfigError and DataError."""
        prepared = super().prepare(progress)
        longest = int(prepared.durations.max()) / 1e6
        if self.window_test < longest:
            cut = f"dataset.window_test={self.window_test:g} s sees only the start"
            log.warning("%s: %s of samples, of which the longest lasts %g s", self.file, cut, longest)
        return prepared

    def split(self, prepared: EventDataset) -> Split:
        """As the file says; without is_test, and without folds, a fifth drawn by ``seed`` is for testing. Raises DataError."""
        if len(np.unique(prepared.labels)) < 2:
            raise DataError(f"{self.file}: all samples are of one class: a net learns to tell at least two apart")
        drawn = self.num_folds is None and not prepared.is_test.any()
        if drawn and len(np.unique(prepared.groups)) < DRAWN_FOLDS:
            found = f"{len(np.unique(prepared.groups))} samples or groups"
            raise DataError(f"{self.file} has {found}, too few to draw a test part: give it is_test, or more samples")
        return split(prepared, self.validation_share, self.seed, DRAWN_FOLDS if drawn else self.num_folds, self.fold)


@option("dataset", "arrays")
@dataclass
class ArraysOption(FileOfArrays, SpikeTrains):
    """Labelled spikes of one's own in numbered channels, from a .npz: rasters (N, T, C) or times and units."""

    layout: ClassVar[Layout] = CHANNELS


@option("dataset", "array_maps")
@dataclass
class ArrayMapsOption(FileOfArrays, EventData):
    """Labelled spikes of one's own on maps of pixels, from a .npz: rasters (N, T, C, H, W) or times, x and y."""

    layout: ClassVar[Layout] = PIXELS

    downsample: int = key(
        1, "pixels of the sensor, in both directions, that become one", "pixels", "ds", at_least=1, at_most=128
    )
    jitter: float = key(
        0.0, "event times move by trunc(jitter * N(0,1)) whole milliseconds in training", "ms", "0.5, fixed",
        at_least=0, at_most=1000,
    )  # fmt: skip
