"""A .npz of labelled spikes, as rasters or as lists of events: what it may hold, and from its arrays to events.

N samples, E events, T steps, C channels, H height, W width:

labels (N,), which only learning needs; classes (K,) text, groups (N,), is_test (N,): optional
spikes (N, T, C), or (N, T, C, H, W) with C of 1 or 2, of 0 and 1, and step, seconds a step;
or times (E,) with offsets (N + 1,) or index (E,), and units (E,), num_units, or x (E,), y (E,), polarity (E,), sensor (2,)
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.events.cache import MAX_TIME
from qsnn.data.events.dataset import MAX_PIXELS, MAX_SIDE
from qsnn.data.formats.event_file import first_true
from qsnn.data.formats.npz import NpzFile, npz_shapes
from qsnn.data.recording import Events
from qsnn.errors import DataError

HELP = "docs/data/arrays.md says what a file holds"
MAX_SAMPLES = 2**24  # where nothing but their own numbers tells how many there are
TIME_UNITS = {"s": 1e6, "us": 1.0}
_KINDS = {
    "labels": "iu", "classes": "U", "groups": "iuU", "is_test": "biu",
    "spikes": "biuf", "step": "f",
    "times": "iuf", "offsets": "iu", "index": "iu",
    "units": "iu", "num_units": "iu", "x": "iu", "y": "iu", "polarity": "biu", "sensor": "iu",
}  # fmt: skip
_ABOUT_SAMPLES = {"labels", "classes", "groups", "is_test"}


class Layout(NamedTuple):
    """One of the two kinds of files. ``axes``: of spikes; ``places``: arrays of an event's place; ``size``: their bounds."""

    option: str
    axes: str
    places: tuple[str, ...]
    size: str
    optional: tuple[str, ...] = ()

    @property
    def own(self) -> set[str]:
        """The arrays that only this kind has."""
        return {*self.places, self.size, *self.optional}


CHANNELS = Layout("arrays", "(N, T, C)", ("units",), "num_units")
PIXELS = Layout("array_maps", "(N, T, C, H, W)", ("x", "y"), "sensor", ("polarity",))


def holds_samples(path: Path) -> bool:
    """Whether a file is a .npz of many samples, as `ArrayFile` reads it, rather than of one raster (T, N). Raises DataError."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    shapes = npz_shapes(path)
    return "times" in shapes or any(len(shape) > 2 for shape in shapes.values())


class ArrayFile:
    """The spikes of a file.

    ``path``: the .npz; ``layout``: what it must hold; ``time_unit``: of ``times``, one of `TIME_UNITS`; ``labelled``: whether
    labels must be there. ``num_samples``: N; ``sensor``: (height, width), (1, C) of channels. Names, shapes and kinds are
    checked at once, values when they are read.

    Raises:
        DataError: the file is none, or does not hold what the layout says.
    """

    def __init__(self, path: Path, layout: Layout, time_unit: str, labelled: bool = True) -> None:
        self.file = NpzFile(path, _KINDS)
        self._layout, self._time_unit, self._needed = layout, time_unit, {"labels"} if labelled else set()
        self._shapes = {name: declared.shape for name, declared in self.file.declared.items()}
        self._check_names()
        self.num_samples = self._count_samples()
        self._check_shapes()
        self.sensor = self._raster_sensor() if "spikes" in self._shapes else self._event_sensor()
        height, width = self.sensor
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE and height * width <= MAX_PIXELS):
            limits = f"each side is 1 to {MAX_SIDE}, both together make at most {MAX_PIXELS}"
            raise self.file.error(f"its spikes lie on {height} x {width} places; {limits}")

    def has(self, name: str) -> bool:
        """Whether the file has this array."""
        return name in self._shapes

    def samples(self) -> Iterator[Events]:
        """The events of one sample after the other. Raises DataError for a value that cannot be."""
        return self._from_rasters() if self.has("spikes") else self._from_events()

    def binary(self, name: str) -> NDArray[np.bool_]:
        """An array whose values are 0 and 1. Raises DataError for others."""
        array = self.file.read(name)
        self.check(name, array, (array == 0) | (array == 1), "0 and 1")
        return array == 1

    def check(self, name: str, array: NDArray[Any], right: NDArray[np.bool_], allowed: str) -> None:
        """Raise DataError with the first value of ``array`` that is not ``right``."""
        wrong = first_true(~right.reshape(-1))
        if wrong is not None:
            place = ", ".join(str(int(axis)) for axis in np.unravel_index(wrong, array.shape))
            raise self.file.error(f"{name}[{place}] is {array.reshape(-1)[wrong]}; allowed are {allowed}")

    def _check_names(self) -> None:
        layout, names = self._layout, set(self._shapes)
        other = CHANNELS if layout is PIXELS else PIXELS
        strange = sorted(names & (other.own - layout.own))
        if strange:
            raise self.file.error(f"{strange[0]} belongs to dataset={other.option}, chosen is dataset={layout.option}")
        if not names & {"spikes", "times"}:
            raise self.file.error(f"it has neither spikes nor times; {HELP}")
        if "spikes" in names:
            needed, optional = {"spikes", "step"}, set()
        else:
            needed, optional = {"times", *layout.places, layout.size}, {*layout.optional, "offsets", "index"}
        missing, extra = sorted((needed | self._needed) - names), sorted(names - needed - optional - _ABOUT_SAMPLES)
        if missing or extra:
            kind = "spikes and step" if "spikes" in names else f"times, {', '.join((*layout.places, layout.size))}"
            kind = f"labels, {kind}" if self._needed else kind
            fault = (
                f"lacks {', '.join(missing)}" if missing else f"has {', '.join(extra)} too, which does not go with them"
            )
            raise self.file.error(f"a file of {kind} {fault}; {HELP}")
        if "times" in names and len(names & {"offsets", "index"}) != 1:
            raise self.file.error(f"it needs offsets or index, one of them, to tell whose events are whose; {HELP}")

    def _count_samples(self) -> int:
        """N by labels; without these, by whatever else has a place for each sample."""
        if self.has("labels"):
            if len(self._shapes["labels"]) != 1 or not self._shapes["labels"][0]:
                raise self._wrong_shape("labels", "(N,), a class for each sample")
            return self._shapes["labels"][0]
        if self.has("index"):
            index = self.file.read("index")
            self.check("index", index, (index >= 0) & (index < MAX_SAMPLES), f"0..{MAX_SAMPLES - 1}, a sample")
            return int(index.max(initial=0)) + 1
        first = self._shapes["spikes" if self.has("spikes") else "offsets"][:1] or (0,)
        return max(1, first[0] - self.has("offsets"))

    def _check_shapes(self) -> None:
        samples, events = (self.num_samples,), self._shapes.get("times", ())
        if self.has("times") and len(events) != 1:
            raise self._wrong_shape("times", "(E,), a time for each event")
        expected: dict[str, tuple[int, ...]] = dict.fromkeys(("groups", "is_test"), samples)
        expected |= dict.fromkeys(("units", "x", "y", "polarity", "index"), events)
        expected |= {"offsets": (self.num_samples + 1,), "step": (), "num_units": (), "sensor": (2,)}
        for name, shape in expected.items():
            if self._shapes.get(name, shape) != shape:
                told = "labels has" if self.has("labels") else "there are"
                raise self._wrong_shape(name, f"{list(shape)}: {told} {self.num_samples} samples" if shape else "[]")
        if len(self._shapes.get("classes", (0,))) != 1:
            raise self._wrong_shape("classes", "(K,), a name for each class")

    def _wrong_shape(self, name: str, expected: str) -> DataError:
        return self.file.error(f"{name} has shape {list(self._shapes[name])}, expected {expected}")

    def _raster_sensor(self) -> tuple[int, int]:
        shape, layout = self._shapes["spikes"], self._layout
        axes = len(layout.axes.split(","))
        if len(shape) != axes or shape[0] != self.num_samples or 0 in shape:
            other = CHANNELS if layout is PIXELS else PIXELS
            wanted = f"{layout.axes} with N = {self.num_samples}; {other.axes} is dataset={other.option}"
            raise self._wrong_shape("spikes", wanted)
        if axes == 5 and shape[2] not in (1, 2):
            raise self._wrong_shape("spikes", f"{layout.axes} with C of 1, or of 2, ON and OFF")
        self._step = self._read_step(shape[1])
        return (1, shape[2]) if axes == 3 else (shape[3], shape[4])

    def _read_step(self, num_steps: int) -> int:
        step = float(self.file.read("step"))
        microseconds = step * 1e6  # as a float32 it is off by a ten-millionth
        whole = 0.5 < microseconds <= MAX_TIME and math.isclose(microseconds, round(microseconds), rel_tol=1e-6)
        if not whole or round(microseconds) * num_steps > MAX_TIME:
            limits = f"a whole number of microseconds, and {num_steps} of them at most {MAX_TIME / 1e6:g} s"
            raise self.file.error(f"step is {step:g} s; allowed are {limits}")
        return round(microseconds)

    def _event_sensor(self) -> tuple[int, int]:
        size = [int(side) for side in np.atleast_1d(self.file.read(self._layout.size))]
        return (size[0], size[1]) if len(size) == 2 else (1, size[0])

    def _from_rasters(self) -> Iterator[Events]:
        spikes = self.file.read("spikes")
        for number, sample in enumerate(spikes):
            self.check(f"spikes[{number}]", sample, (sample == 0) | (sample == 1), "0 and 1")
            step, channel, *pixel = np.nonzero(sample)
            y, x = pixel or (np.zeros_like(channel), channel)
            polarity = (channel == 0) if pixel else np.ones(len(step), np.bool_)
            yield Events(step * self._step, x.astype(np.int16), y.astype(np.int16), polarity)

    def _from_events(self) -> Iterator[Events]:
        t, index = self._times(), self._sample_of_each_event()
        order = np.lexsort((t, index))
        x, y = self._places()
        polarity = self.binary("polarity") if self.has("polarity") else np.ones(len(t), np.bool_)
        edges = np.cumsum(np.bincount(index, minlength=self.num_samples))[:-1]
        for own in np.split(order, edges):
            yield Events(t[own], x[own], y[own], polarity[own])

    def _times(self) -> NDArray[np.int64]:
        times = self.file.read("times")
        scale = TIME_UNITS[self._time_unit]
        microseconds = np.rint(times * np.float64(scale))
        last = f"0 to {(MAX_TIME - 1) / scale:.6g} {self._time_unit}, which dataset.time_unit says they are in"
        self.check("times", times, (microseconds >= 0) & (times >= 0) & (microseconds < MAX_TIME), last)
        return microseconds.astype(np.int64)

    def _sample_of_each_event(self) -> NDArray[np.int64]:
        if self.has("index"):
            index = self.file.read("index")
            self.check(
                "index", index, (index >= 0) & (index < self.num_samples), f"0..{self.num_samples - 1}, a sample"
            )
            return index.astype(np.int64)
        offsets, count = self.file.read("offsets"), self._shapes["times"][0]
        self.check("offsets", offsets, (offsets >= 0) & (offsets <= count), f"0..{count}, the number of events")
        offsets = offsets.astype(np.int64)
        if offsets[0] != 0 or offsets[-1] != count or (np.diff(offsets) < 0).any():
            raise self.file.error(f"offsets do not go from 0 up to {count}, the number of events; {HELP}")
        return np.repeat(np.arange(self.num_samples), np.diff(offsets))

    def _places(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        found = []
        for name, side in zip(reversed(self._layout.places), self.sensor[-len(self._layout.places) :], strict=True):
            place = self.file.read(name)  # y first, as the sensor has its height first
            self.check(name, place, (place >= 0) & (place < side), f"0..{side - 1}, as {self._layout.size} says")
            found.append(place.astype(np.int16))
        return found[-1], found[0] if len(found) == 2 else np.zeros_like(found[0])
