"""Yin-Yang: where a point lies in the symbol. Source: Kriener, Göltz & Petrovici, "The Yin-Yang dataset", NICE 2022
(arXiv:2102.08211, 2021).

The symbol is a disc of radius 0.5 about (0.5, 0.5), y upward, and two small discs about the centres of its halves, (0.25, 0.5)
and (0.75, 0.5). Its classes, numbered as published:

2, dot: less than ``r_small`` from one of the two centres;
1, yang: the upper half without the disc of radius 0.25 about (0.75, 0.5), and with the one about (0.25, 0.5);
0, yin: what remains, which is yang turned by half a turn.

Five units spike once each: at the places x, y, 1 - x, 1 - y and 0 of the first ``step_frac`` of a sample, that is in step
rint(place * step_frac * (num_steps - 1)). The last is a bias: without it nothing would tell when a sample began.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.options import SpikeTrains, step_problem
from qsnn.data.events.split import Split
from qsnn.data.recording import Events, Recording
from qsnn.data.streams import random_stream
from qsnn.options import impossible, key, option

VERSION = 1  # of the generator: grows whenever the same options give other events
CLASSES = ("yin", "yang", "dot")
YIN, YANG, DOT = range(3)
MAX_SAMPLES = 1_000_000
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_CENTRE, _LEFT, _RIGHT = (0.5, 0.5), (0.25, 0.5), (0.75, 0.5)
_R_BIG = 0.5
_BLOCK = 4096  # points that are drawn at once


class YinYangSettings(NamedTuple):
    """What decides the samples. ``step``: s; ``generator_seed``: an integer >= 0."""

    num_train: int = 5000
    num_validation: int = 1000
    num_test: int = 1000
    r_small: float = 0.1
    num_steps: int = 100
    step: float = 0.001
    step_frac: float = 0.5
    generator_seed: int = 0


def _distance(points: NDArray[np.float64], centre: tuple[float, float]) -> NDArray[np.float64]:
    return np.hypot(points[:, 0] - centre[0], points[:, 1] - centre[1])


def classes_of(points: NDArray[np.float64], r_small: float) -> NDArray[np.int64]:
    """The class of each point (x, y) of ``points`` [samples, 2] inside the symbol."""
    left, right = _distance(points, _LEFT), _distance(points, _RIGHT)
    yang = (left <= _R_BIG / 2) | ((points[:, 1] > 0.5) & (right > _R_BIG / 2))
    return np.where(np.minimum(left, right) < r_small, DOT, np.where(yang, YANG, YIN))


def draw_points(rng: np.random.Generator, count: int, r_small: float) -> NDArray[np.float64]:
    """[count, 2]: points of the classes 0, 1, 2, 0, 1, 2, ..., each uniform in its class: others are drawn and left out.

    The first ones are the same for any ``count``.
    """
    turns = -(-count // len(CLASSES))
    found = [np.empty((0, 2)) for _ in CLASSES]
    while min(map(len, found)) < turns:
        drawn = rng.random((_BLOCK, 2))
        drawn = drawn[_distance(drawn, _CENTRE) <= _R_BIG]
        labels = classes_of(drawn, r_small)
        found = [np.concatenate([points, drawn[labels == label]]) for label, points in enumerate(found)]
    return np.stack([points[:turns] for points in found], axis=1).reshape(-1, 2)[:count]


class YinYang:
    """The event source dataset=yin_yang, see `qsnn.data.events.source.EventSource`: input j spikes at x = j.

    Training, validation and test are drawn from random streams of their own, and the names of their samples begin with
    train/, validation/ and test/.
    """

    name = "yin_yang"
    classes = CLASSES
    sensor = (1, 5)
    root: Path | None = None
    in_time = False

    def __init__(self, settings: YinYangSettings) -> None:
        self.settings = settings

    def fingerprint(self) -> str:
        """A hash of the options and of the generator's version."""
        return hashlib.sha256(json.dumps(["yin_yang", VERSION, *self.settings]).encode()).hexdigest()

    def __len__(self) -> int:
        return self.settings.num_train + self.settings.num_validation + self.settings.num_test

    def steps(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """[samples, 5]: the steps in which the inputs of ``points`` [samples, 2] spike."""
        places = np.concatenate([points, 1 - points, np.zeros((len(points), 1))], axis=1)
        return np.rint(places * self.settings.step_frac * (self.settings.num_steps - 1)).astype(np.int64)

    def recordings(self) -> Iterator[Recording]:
        """Generate one part after the other, each of the classes in turn."""
        counts = self.settings.num_train, self.settings.num_validation, self.settings.num_test
        for part, count in zip((TRAIN, VALIDATION, TEST), counts, strict=True):
            yield from self._recordings_of(part, count)

    def _recordings_of(self, part: str, count: int) -> Iterator[Recording]:
        rng = random_stream(self.settings.generator_seed, f"yin_yang, {part}")
        steps = self.steps(draw_points(rng, count, self.settings.r_small))
        order = np.argsort(steps, axis=1, kind="stable")
        t = np.take_along_axis(steps, order, axis=1) * round(self.settings.step * 1e6)
        x, y, polarity = order.astype(np.int16), np.zeros(5, np.int16), np.ones(5, np.bool_)
        for sample in range(count):
            name = f"{part}/{sample}"
            yield Recording(name, sample % len(CLASSES), name, part == TEST, Events(t[sample], x[sample], y, polarity))


@option("dataset", "yin_yang")
@dataclass
class YinYangOption(SpikeTrains):
    """Points in the Yin-Yang symbol as spike times (Kriener et al. 2021): generated, nothing to download."""

    window_train: float = key(0.1, "length of the random windows in training", "s", above=0)
    window_test: float = key(0.1, "length of the first window, on which is tested", "s", above=0)
    validation_share: float = key(
        1 / 6,
        "share of what is not for testing that chooses the best epoch, drawn beside the num_train training samples; "
        "1/6: 1,000 beside 5,000",
        "", "none", at_least=0, below=1,
    )  # fmt: skip
    num_train: int = key(5000, "samples for training", at_least=3, at_most=MAX_SAMPLES)
    num_test: int = key(1000, "samples for testing", at_least=3, at_most=MAX_SAMPLES)
    r_small: float = key(0.1, "radius of the dots, in a symbol of radius 0.5", at_least=0.01, at_most=0.24)
    num_steps: int = key(100, "steps of a sample; windows should be as long", "steps", at_least=2, at_most=100_000)
    step: float = key(
        0.001, "length of a step of a sample: spikes are at whole steps", "s", at_least=1e-6, at_most=0.04
    )
    step_frac: float = key(0.5, "share of a sample's steps, at its start, that has the spikes", above=0, at_most=1)
    generator_seed: int = key(0, "seed of the samples", at_least=0)

    def problems(self) -> Iterator[str]:
        """Steps that times in microseconds do not have, and more validation than a set can be large."""
        yield from super().problems()
        yield from step_problem(self.step)
        if 0 <= self.validation_share < 1 and self._num_validation() > MAX_SAMPLES:
            wanted = f"beside {self.num_train} training samples it makes more than {MAX_SAMPLES}"
            yield impossible("dataset.validation_share", self.validation_share, wanted)

    def _num_validation(self) -> int:
        share = self.validation_share
        return math.ceil(share / (1 - share) * self.num_train - 1e-6)  # 1/6 in binary is a little off

    def source(self) -> YinYang:
        """The generator."""
        own = {name: getattr(self, name) for name in YinYangSettings._fields if name != "num_validation"}
        return YinYang(YinYangSettings(num_validation=self._num_validation(), **own))

    def split(self, prepared: EventDataset) -> Split:
        """The set's own three parts, or the folds of all. Raises DataError."""
        if self.num_folds is not None:
            return super().split(prepared)
        part = np.char.partition(prepared.names, "/")[:, 0]
        train, validation, test = (np.flatnonzero(part == name) for name in (TRAIN, VALIDATION, TEST))
        return Split(train, validation, test)
