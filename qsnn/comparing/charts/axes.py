"""Axes: where a value lies between the ends, and which values are written beside it."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

Tell = Callable[[float], str]


class Axis(NamedTuple):
    """``place``: from a value to 0..1; ``ticks``: (place, text), in order."""

    label: str
    place: Callable[[Any], float]
    ticks: list[tuple[float, str]]
    of_words: bool = False


def linear(
    label: str, values: Iterable[float], tell: Tell, floor: float | None = None, ceiling: float | None = None
) -> Axis:
    """From a round value below the smallest to one above the largest; ``floor``: not below it, ``ceiling``: not above it, as
    long as no value is."""
    known = list(values) or [0.0]
    low, high = min(known), max(known)
    if floor is not None and low - (high - low) < floor:
        low = min(floor, low)
    step = round_step((high - low) / 4 or abs(high) / 4 or 1.0)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if last == first:
        first, last = (first - 1, last) if ceiling is not None and high == ceiling else (first, last + 1)
    marks = [number * step for number in range(first, last + 1)]

    def place(value: float) -> float:
        return (value - marks[0]) / (marks[-1] - marks[0])

    return Axis(label, place, [(place(mark), tell(mark)) for mark in marks])


def round_step(about: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, at least ``about``."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= about * 0.999)


def logarithmic(label: str, values: Iterable[float], tell: Tell) -> Axis:
    """Of values above 0: powers of ten, or 1, 2 and 5 of them, or the ends alone, whichever gives few ticks but two. What is
    below the end, such as a bar that reaches to 0, is drawn to it."""
    known = list(values)
    low, high = min(known) / 1.15, max(known) * 1.15
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    candidates = ([f * 10.0**p for p in powers for f in factors] for factors in ((1,), (1, 3), (1, 2, 5), range(1, 10)))
    inside = next((marks for all_ in candidates if len(marks := [m for m in all_ if low <= m <= high]) >= 3), None)
    marks = inside or sorted({min(known), max(known)})

    def place(value: float) -> float:
        return math.log(max(value, low) / low) / math.log(high / low)

    return Axis(label, place, [(place(mark), tell(mark)) for mark in marks])


def of_size(label: str, values: Sequence[float], tell: Tell) -> Axis:
    """Of sizes above 0: logarithmic where they span more than a factor of 4, else linear."""
    if values and min(values) > 0 and max(values) > 4 * min(values):
        return logarithmic(label, values, tell)
    return linear(label, values, tell)


def categorical(label: str, values: Sequence[Any], names: Sequence[str]) -> Axis:
    """Values side by side."""
    places = {value: (number + 0.5) / len(values) for number, value in enumerate(values)}
    ticks = [(places[value], name) for value, name in zip(values, names, strict=True)]
    return Axis(label, lambda value: places[value], ticks, of_words=True)


def of_values(label: str, values: Sequence[Any], names: Sequence[str]) -> Axis:
    """Of the values of a key, in their order: numbers, and lists of one, by their size (logarithmic from a factor of 16 on),
    with a tick at each; everything else, and more numbers than there is room for, side by side."""
    numbers = [value[0] if isinstance(value, tuple) and len(value) == 1 else value for value in values]
    numeric = all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
    if not numeric or len(values) < 3 or min(numbers) < 0:
        return categorical(label, values, names)
    sizes, low, high = dict(zip(values, numbers, strict=True)), min(numbers), max(numbers)
    scale = math.log if low > 0 and high >= 16 * low else float
    ends = scale(low), scale(high)

    def place(value: Any) -> float:
        return 0.05 + 0.9 * (scale(sizes[value]) - ends[0]) / (ends[1] - ends[0])

    places = [place(value) for value in values]
    crowded = min(b - a for a, b in itertools.pairwise(places)) < 0.04
    if crowded:
        return categorical(label, values, names)
    return Axis(label, place, list(zip(places, names, strict=True)))


def short_number(value: float) -> str:
    """Few letters: 0.05, 1.2, 340, 12k, 3.4M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
