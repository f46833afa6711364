"""From the config of an event data set to its source, windows, cache and split, and the checks of its values."""

import math
from pathlib import Path
from typing import Any

from qsnn.config.require import LONGEST_STEP, Problems, refuse, require, unless
from qsnn.config.schema_datasets import (
    DVSGestureConfig,
    EventDatasetConfig,
    NMNISTConfig,
    SlowPokerConfig,
    SyntheticGestureConfig,
)
from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.events.source import EventSource
from qsnn.data.events.split import Split, split
from qsnn.data.events.windows import INPUT_MODES, WindowSettings
from qsnn.data.formats.aedat2 import AEDAT2Options
from qsnn.data.generators.synthetic_gesture import SyntheticGesture
from qsnn.data.sources import dvs_gesture, nmnist, slow_poker
from qsnn.data.sources.dvs_gesture import DVSGesture
from qsnn.data.sources.files import check_root
from qsnn.data.sources.nmnist import NMNIST
from qsnn.data.sources.slow_poker import Cutting, SlowPoker
from qsnn.errors import ConfigError, QsnnError

MAX_STEPS = 1_000_000


def build_source(dataset: Any) -> EventSource:
    """The data set that a config names. Raises ConfigError if it is none of events, DataError if its folder is missing."""
    if isinstance(dataset, DVSGestureConfig):
        return DVSGesture(_root(dataset, dvs_gesture.ADVICE), dataset.sort_time)
    if isinstance(dataset, SlowPokerConfig):
        cutting = Cutting(dataset.piece_duration, dataset.piece_events, dataset.test_share)
        options = AEDAT2Options(**{name: getattr(dataset, name) for name in AEDAT2Options._fields})
        return SlowPoker(_root(dataset, slow_poker.ADVICE), cutting, options)
    if isinstance(dataset, NMNISTConfig):
        return NMNIST(_root(dataset, nmnist.ADVICE))
    if isinstance(dataset, SyntheticGestureConfig):
        users = dataset.num_users, dataset.num_test_users
        return SyntheticGesture(*users, dataset.lights, dataset.repetitions, dataset.duration, dataset.generator_seed)
    raise ConfigError("this dataset has no recordings of events: choose one that has, such as dataset=nmnist")


def _root(dataset: DVSGestureConfig | SlowPokerConfig | NMNISTConfig, advice: str) -> Path:
    wanted = f"give the folder where the data set lies, dataset.root=...; if you do not have it yet, {advice}"
    require(bool(dataset.root), "dataset.root", dataset.root, wanted)
    root = Path(str(dataset.root)).expanduser()
    check_root(root, advice)
    return root


def build_dataset(dataset: EventDatasetConfig, progress: bool) -> EventDataset:
    """The prepared data set, converted first if it has no cache. Raises ConfigError and DataError."""
    cache = None if dataset.cache is None else Path(dataset.cache).expanduser()
    return prepare_dataset(build_source(dataset), cache, progress)


def build_split(dataset: EventDatasetConfig, prepared: EventDataset) -> Split:
    """Recordings for training, validation and test. Raises DataError."""
    return split(prepared, dataset.validation_share, dataset.seed, dataset.num_folds, dataset.fold)


def build_windows(dataset: EventDatasetConfig, dt: float, training: bool) -> WindowSettings:
    """What the rasters for training, or those for validation and test, are made of. ``dt``: s."""
    length = dataset.window_train if training else dataset.window_test
    jitter = dataset.jitter if training else 0.0
    shift = dataset.shift if training else 0
    return WindowSettings(dt, round(length / dt), dataset.input_mode, dataset.downsample, jitter, shift)


def check_event_data(dataset: EventDatasetConfig, dt: float) -> None:
    """Raise one ConfigError with all that `wrong_event_data` finds."""
    refuse(wrong_event_data(dataset, dt))


def wrong_event_data(dataset: EventDatasetConfig, dt: float) -> Problems:
    """Every wrong value of an event data set's config, and of its windows at steps of ``dt`` s."""
    whole = 1e-6 <= dt <= LONGEST_STEP and abs(dt * 1e6 - round(dt * 1e6)) < 1e-6
    allowed = f"with events, whose times are in microseconds, it is a whole number of them, at most {LONGEST_STEP:g} s"
    yield from unless(whole, "neuron.dt", dt, allowed)
    for name in ("window_train", "window_test") if whole else ():
        length = getattr(dataset, name)
        fits = math.isfinite(length) and 1 <= round(length / dt) <= MAX_STEPS
        yield from unless(fits, f"dataset.{name}", length, f"it must be 1 to {MAX_STEPS} time steps of {dt:g} s")
    modes = f"allowed are {', '.join(map(str, INPUT_MODES))}"
    yield from unless(dataset.input_mode in INPUT_MODES, "dataset.input_mode", dataset.input_mode, modes)
    yield from _outside("downsample", dataset.downsample, 1, 128)
    yield from _outside("jitter", dataset.jitter, 0, 1000)
    yield from _outside("shift", dataset.shift, 0, 128)
    yield from _outside("num_workers", dataset.num_workers, 0, 256)
    yield from _outside("seed", dataset.seed, 0, 2**63)
    yield from _wrong_split(dataset)
    if isinstance(dataset, SlowPokerConfig):
        yield from _wrong_pieces(dataset)
    if isinstance(dataset, SyntheticGestureConfig):
        try:
            build_source(dataset)  # checks its own options
        except QsnnError as error:
            yield str(error)


def _outside(name: str, value: float, lowest: float, highest: float) -> Problems:
    allowed = f"it must be at least {lowest:g} and at most {highest:g}"
    yield from unless(lowest <= value <= highest, f"dataset.{name}", value, allowed)


def _wrong_split(dataset: EventDatasetConfig) -> Problems:
    share, folds, fold = dataset.validation_share, dataset.num_folds, dataset.fold
    yield from unless(0 <= share < 1, "dataset.validation_share", share, "it must be at least 0 and below 1")
    possible = folds is None or 2 <= folds <= 1000
    yield from unless(possible, "dataset.num_folds", folds, "allowed are 2..1000, or null for none")
    allowed = "it counts folds, which need dataset.num_folds" if folds is None else f"allowed are 0..{folds - 1}"
    if possible:
        yield from unless(0 <= fold < (folds or 1), "dataset.fold", fold, allowed)


def _wrong_pieces(dataset: SlowPokerConfig) -> Problems:
    duration, events = dataset.piece_duration, dataset.piece_events
    one = (duration is None) != (events is None)
    other = "set either it or dataset.piece_events, and the other to null"
    yield from unless(one, "dataset.piece_duration", duration, other)
    if duration is not None:
        yield from _outside("piece_duration", duration, 0.001, 4000)
    if events is not None:
        yield from _outside("piece_events", events, 1, 10**9)
    share = dataset.test_share
    yield from unless(0 < share < 1, "dataset.test_share", share, "it must be above 0 and below 1")
    yield from unless(dataset.on_bit in (0, 1), "dataset.on_bit", dataset.on_bit, "allowed are 0 and 1")
