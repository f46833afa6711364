"""What the options of all event data sets share: windows, split and cache, from keys to what training works with."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.events.source import EventSource
from qsnn.data.events.split import Split, split
from qsnn.data.events.windows import INPUT_MODES, WindowSettings
from qsnn.data.words import CLASSES, MAPS
from qsnn.options import Option, impossible, key

MAX_STEPS = 1_000_000
ANY_EVENT = 1


def whole_microseconds(seconds: float) -> bool:
    """Whether a time is 1, 2, 3, ... microseconds."""
    return math.isfinite(seconds) and seconds >= 1e-6 and abs(seconds * 1e6 - round(seconds * 1e6)) < 1e-6


def step_problem(step: float) -> Iterator[str]:
    """A ``dataset.step`` of generated samples, in s, that event times do not have."""
    if step >= 1e-6 and not whole_microseconds(step):
        yield impossible("dataset.step", step, "it must be a whole number of microseconds")


class Extent(NamedTuple):
    """What a net's shape needs of a data set: ``sensor`` (height, width), and how many classes it has."""

    sensor: tuple[int, int]
    num_classes: int


@dataclass
class Recordings(Option):
    """A data set of labelled recordings. What a raster is made of, subclasses say in `windows`."""

    gives: ClassVar[frozenset[str]] = frozenset({CLASSES})

    cache: str | None = key(
        None, "folder of prepared recordings; null: QSNN_CACHE, else qsnn in XDG_CACHE_HOME, else ~/.cache/qsnn"
    )
    window_train: float = key(0.5, "length of the random windows in training", "s", "500 steps, fixed", above=0)
    window_test: float = key(1.8, "length of the first window, on which is tested", "s", "1800 steps, fixed", above=0)
    num_workers: int = key(
        0, "threads that prepare batches ahead; any number gives the same batches", at_least=0, at_most=256
    )
    num_folds: int | None = key(
        None, "cross-validate over all recordings in that many folds; null: the data set's own test part", "", "none",
        at_least=2, at_most=1000,
    )  # fmt: skip
    fold: int = key(0, "which fold is for testing, 0..num_folds-1", "", "none", at_least=0)
    validation_share: float = key(
        0.2, "share of what is not for testing that chooses the best epoch", "", "none", at_least=0, below=1
    )
    seed: int = key(
        0, "seed of the split and of windows, jitter and order", "", "none: not seeded", at_least=0, at_most=2**63
    )

    def problems(self) -> Iterator[str]:
        """A fold that is none."""
        if self.in_bounds("fold", "num_folds") and not self.fold < (self.num_folds or 1):
            none = "it counts folds, which need dataset.num_folds"
            yield impossible(
                "dataset.fold", self.fold, f"allowed are 0..{self.num_folds - 1}" if self.num_folds else none
            )

    def problems_at(self, dt: float) -> Iterator[str]:
        """Steps of ``dt`` s that event times do not have, and windows of too few or too many of them."""
        if not whole_microseconds(dt):
            allowed = "with events, whose times are in microseconds, it is a whole number of them"
            yield impossible("neuron.dt", dt, allowed)
            return
        for name in ("window_train", "window_test"):
            length = getattr(self, name)
            if math.isfinite(length) and not 1 - 1e-9 <= length / dt < MAX_STEPS + 0.5:
                allowed = f"it must be 1 to {MAX_STEPS} time steps of {dt:g} s, which neuron.dt sets"
                yield impossible(f"dataset.{name}", length, allowed)

    def source(self) -> EventSource:
        """The recordings as they lie on disk or are generated. Raises ConfigError and DataError."""
        raise NotImplementedError

    def extent(self) -> Extent:
        """Of a data set that has but one, without its files; else as they say. Raises ConfigError and DataError."""
        source = self.source()
        return Extent(source.sensor, len(source.classes))

    def prepare(self, progress: bool) -> EventDataset:
        """The prepared data set, converted first if it has no cache. Raises ConfigError and DataError."""
        cache = None if self.cache is None else Path(self.cache).expanduser()
        return prepare_dataset(self.source(), cache, progress)

    def split(self, prepared: EventDataset) -> Split:
        """Recordings for training, validation and test. Raises DataError."""
        return split(prepared, self.validation_share, self.seed, self.num_folds, self.fold)

    def windows(self, dt: float, training: bool) -> WindowSettings:
        """What the rasters for training, or those for validation and test, are made of. ``dt``: s."""
        raise NotImplementedError

    def window_steps(self, dt: float, training: bool) -> int:
        """T of these rasters."""
        return round((self.window_train if training else self.window_test) / dt)


@dataclass
class EventData(Recordings):
    """A data set of labelled recordings of an event camera."""

    gives: ClassVar[frozenset[str]] = frozenset({CLASSES, MAPS})

    input_mode: int = key(
        0,
        "channels: 0 ON and OFF, 1 any event, 2 one signed (sign of ON less OFF events in a bin), 3 the signed one twice",
        "",
        "input_mode",
        choices=INPUT_MODES,
    )
    downsample: int = key(
        4, "pixels of the sensor, in both directions, that become one", "pixels", "ds", at_least=1, at_most=128
    )
    jitter: float = key(
        0.5, "event times move by trunc(jitter * N(0,1)) whole milliseconds in training", "ms", "0.5, fixed",
        at_least=0, at_most=1000,
    )  # fmt: skip
    shift: int = key(
        0, "training windows move by up to so many pixels, of the smaller raster, in each direction", "pixels", "none",
        at_least=0, at_most=128,
    )  # fmt: skip
    rotation: float = key(
        0.0, "training windows turn about the sensor's centre by up to so many degrees in each direction", "degrees", "none",
        at_least=0, at_most=180,
    )  # fmt: skip
    zoom: float = key(
        0.0, "height and width of training windows are multiplied, each by itself, by 1 / (1 + zoom) to 1 + zoom", "", "none",
        at_least=0, at_most=10,
    )  # fmt: skip

    def windows(self, dt: float, training: bool) -> WindowSettings:
        """Rasters of pixels. ``dt``: s."""
        moving = (self.jitter, self.shift, self.rotation, self.zoom) if training else (0.0, 0, 0.0, 0.0)
        return WindowSettings(dt, self.window_steps(dt, training), self.input_mode, self.downsample, *moving)


@dataclass
class SpikeTrains(Recordings):
    """A data set of labelled spike trains in numbered channels: a sensor of one row, whose events have one polarity."""

    def windows(self, dt: float, training: bool) -> WindowSettings:
        """Rasters (T, B, 1, 1, channels): 1 where a channel spikes in a step. ``dt``: s."""
        return WindowSettings(dt, self.window_steps(dt, training), ANY_EVENT, 1, 0.0, 0)
