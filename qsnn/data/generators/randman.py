"""Randman: each class is a smooth random manifold, and a sample is when its units spike. Source: Zenke & Vogels, Neural
Computation 33 (2021). Counts of spikes tell nothing of the class, their times everything, so bits that blur time show.

A sample of a class has coordinates z ~ Uniform(0, 1)^dim on the class's manifold. Each unit of the class has a function

    f(z) = prod_d  sum_{i = 0 .. F-1}  a_di / (i + 1)^alpha  sin(2 pi (i b_di z_d + c_di)),

with a, b, c ~ Uniform(0, 1), a_d0 = 0 and F = min(1000, ceil(1000^(1 / alpha))). Scaled over the samples of the class to
[0, 1], it is the place of the unit's spike in the first ``step_frac`` of the sample's ``num_steps`` steps. The larger alpha,
the smoother the manifold. ``harmonic``: the i-th frequency is i + 1 instead of i b_di, and a_d0 is drawn too.
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

from qsnn.data.events.options import SpikeTrains, step_problem
from qsnn.data.formats.guard import MAX_ELEMENTS
from qsnn.data.recording import Events, Recording
from qsnn.data.streams import random_stream
from qsnn.options import impossible, key, option

VERSION = 1  # of the generator: grows whenever the same options give other events
MAX_FREQUENCIES = 1000
_BLOCK = 4096  # samples whose sines are in memory at once, 32 MB


class RandmanSettings(NamedTuple):
    """What decides the samples; the keys of dataset=randman. ``step``: s; ``generator_seed``: an integer >= 0."""

    num_classes: int = 10
    samples_per_class: int = 1000
    num_units: int = 20
    dim: int = 1
    alpha: float = 1.0
    spikes_per_unit: int = 1
    num_steps: int = 100
    step: float = 0.002
    step_frac: float = 0.5
    harmonic: bool = False
    test_share: float = 0.1
    generator_seed: int = 0

    @property
    def num_test(self) -> int:
        """Samples of a class that are for testing."""
        return round(self.test_share * self.samples_per_class)


class ManifoldFunction(NamedTuple):
    """f of one unit, arrays [dim, F]: f(z) = prod_d sum_i amplitude_di sin(2 pi (frequency_di z_d + phase_di))."""

    amplitude: NDArray[np.float64]
    frequency: NDArray[np.float64]
    phase: NDArray[np.float64]

    def __call__(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """[samples] of coordinates ``z`` [samples, dim]."""
        value = np.ones(len(z))
        for start in range(0, len(z), _BLOCK):
            part = slice(start, start + _BLOCK)
            for d, (amplitude, frequency, phase) in enumerate(zip(*self, strict=True)):
                value[part] *= np.sin(2 * np.pi * (z[part, d, None] * frequency + phase)) @ amplitude
        return value


def num_frequencies(alpha: float) -> int:
    """F: where the amplitudes fall below a thousandth of the first one."""
    return MAX_FREQUENCIES if alpha <= 1 else math.ceil(MAX_FREQUENCIES ** (1 / alpha))


def draw_function(rng: np.random.Generator, dim: int, alpha: float, harmonic: bool) -> ManifoldFunction:
    """A random function of ``dim`` coordinates; of more dimensions it has those of fewer too."""
    order = np.arange(num_frequencies(alpha))
    a, b, c = rng.random((dim, 3, len(order))).transpose(1, 0, 2)
    if not harmonic:
        a[:, 0] = 0  # a frequency of 0 moves nothing
    frequency = np.broadcast_to(order + 1.0, b.shape) if harmonic else order * b
    return ManifoldFunction(a / (order + 1.0) ** alpha, frequency, c)


def spike_steps(value: NDArray[np.float64], num_steps: int, step_frac: float) -> NDArray[np.int64]:
    """The steps [samples, ...] of function values, scaled over the samples: floor(scaled * step_frac * num_steps).

    The largest value, whose step would lie behind that part of the sample, gets the last one in it.
    """
    low, high = value.min(axis=0), value.max(axis=0)
    end = step_frac * num_steps
    steps = np.floor((value - low) / np.where(high > low, high - low, 1) * end).astype(np.int64)
    return np.minimum(steps, math.ceil(end) - 1)


class Randman:
    """The event source dataset=randman, see `qsnn.data.events.source.EventSource`: unit j spikes at x = j.

    Each class's coordinates, and each function, have a random stream of their own: other classes, units and spikes are
    the same in a larger set. The last samples of a class are for testing; all are independent.
    """

    name = "randman"
    root: Path | None = None
    in_time = False

    def __init__(self, settings: RandmanSettings) -> None:
        self.settings = settings
        self.classes = tuple(str(label) for label in range(settings.num_classes))
        self.sensor = (1, settings.num_units)

    def fingerprint(self) -> str:
        """A hash of the options and of the generator's version."""
        return hashlib.sha256(json.dumps(["randman", VERSION, *self.settings]).encode()).hexdigest()

    def __len__(self) -> int:
        return self.settings.num_classes * self.settings.samples_per_class

    def steps(self, label: int) -> NDArray[np.int64]:
        """[samples, spikes a unit, units]: the step of each spike of a class."""
        s = self.settings
        z = random_stream(s.generator_seed, f"randman, coordinates of class {label}").random(
            (s.samples_per_class, s.dim)
        )
        value = np.empty((s.samples_per_class, s.spikes_per_unit, s.num_units))
        for spike in range(s.spikes_per_unit):
            for unit in range(s.num_units):
                rng = random_stream(s.generator_seed, f"randman, class {label}, spike {spike} of unit {unit}")
                value[:, spike, unit] = draw_function(rng, s.dim, s.alpha, s.harmonic)(z)
        return spike_steps(value, s.num_steps, s.step_frac)

    def recordings(self) -> Iterator[Recording]:
        """Generate one class after the other."""
        for label, name in enumerate(self.classes):
            yield from self._recordings_of(label, name)

    def _recordings_of(self, label: int, class_name: str) -> Iterator[Recording]:
        s = self.settings
        steps = self.steps(label).reshape(s.samples_per_class, -1)
        order = np.argsort(steps, axis=1, kind="stable")
        t = np.take_along_axis(steps, order, axis=1) * round(s.step * 1e6)
        x = (order % s.num_units).astype(np.int16)
        y, polarity = np.zeros(t.shape[1], np.int16), np.ones(t.shape[1], np.bool_)
        for sample in range(s.samples_per_class):
            name, is_test = f"{class_name}/{sample}", sample >= s.samples_per_class - s.num_test
            yield Recording(name, label, name, is_test, Events(t[sample], x[sample], y, polarity))


@option("dataset", "randman")
@dataclass
class RandmanOption(SpikeTrains):
    """Random smooth manifolds in spike times (Zenke & Vogels 2021): generated, nothing to download."""

    window_train: float = key(0.2, "length of the random windows in training", "s", above=0)
    window_test: float = key(0.2, "length of the first window, on which is tested", "s", above=0)
    validation_share: float = key(
        1 / 9, "share of what is not for testing that chooses the best epoch; 1/9: a tenth of all", "", "none", at_least=0,
        below=1,
    )  # fmt: skip
    num_classes: int = key(10, "classes, each a manifold", at_least=2, at_most=1000)
    samples_per_class: int = key(1000, "samples of each class", at_least=3, at_most=1_000_000)
    num_units: int = key(20, "units that spike, inputs of a net", at_least=1, at_most=2**15 - 1)
    dim: int = key(1, "dimensions of a manifold; the more, the harder", at_least=1, at_most=100)
    alpha: float = key(1.0, "smoothness of a manifold; the smaller, the harder", above=0, at_most=100)
    spikes_per_unit: int = key(
        1, "spikes of each unit, each with a manifold of its own; two in one step are one", at_least=1, at_most=1000
    )
    num_steps: int = key(100, "steps of a sample; windows should be as long", "steps", at_least=1, at_most=100_000)
    step: float = key(
        0.002, "length of a step of a sample: spikes are at whole steps", "s", at_least=1e-6, at_most=0.04
    )
    step_frac: float = key(0.5, "share of a sample's steps, at its start, that has the spikes", above=0, at_most=1)
    harmonic: bool = key(
        False, "frequencies of 1, 2, 3, ... instead of random ones: manifolds that close, and are easier"
    )
    test_share: float = key(0.1, "share of the samples of each class that is for testing", above=0, below=1)
    generator_seed: int = key(0, "seed of manifolds and samples", at_least=0)

    def problems(self) -> Iterator[str]:
        """Steps that times in microseconds do not have, a part without samples, and more than memory holds."""
        yield from super().problems()
        yield from step_problem(self.step)
        if 0 < self.test_share < 1 and not 0 < self._settings().num_test < self.samples_per_class - 1:
            wanted = (
                f"of {self.samples_per_class} samples of a class it must leave one for testing and two for the rest"
            )
            yield impossible("dataset.test_share", self.test_share, wanted)
        if self.samples_per_class * self.num_units * self.spikes_per_unit > MAX_ELEMENTS:
            wanted = f"samples_per_class * num_units * spikes_per_unit is at most {MAX_ELEMENTS}"
            yield impossible("dataset.samples_per_class", self.samples_per_class, wanted)

    def _settings(self) -> RandmanSettings:
        return RandmanSettings(**{name: getattr(self, name) for name in RandmanSettings._fields})

    def source(self) -> Randman:
        """The generator."""
        return Randman(self._settings())
