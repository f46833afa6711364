"""A chart of lines and marks between two axes, with a title above and a legend below."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from qsnn.comparing.charts.axes import Axis
from qsnn.comparing.charts.scene import (
    DASHES,
    MARKS,
    NUM_SERIES,
    SMALL,
    TITLE,
    WIDTH,
    Area,
    Label,
    Mark,
    Scene,
    Shape,
    Stroke,
    cut,
    text_width,
    wrapped,
)

PLOT_HEIGHT, MARGIN, RIGHT, LINE = 220.0, 8.0, 358.0, 15.0
LONGEST_TICK = 110.0


class Point(NamedTuple):
    """``low`` and ``high``: of its error bar, None for none; ``ring``: it is marked; ``tip``: what it is."""

    x: Any
    y: float
    low: float | None = None
    high: float | None = None
    ring: bool = False
    tip: str = ""


class Series(NamedTuple):
    """``joined``: by a line; ``banded``: low and high are a band rather than bars, and there are no marks; ``number``: of its
    colour, mark and dash; ``named``: whether the legend has it."""

    name: str
    points: list[Point]
    number: int
    joined: bool = True
    banded: bool = False
    named: bool = True


class Frame(NamedTuple):
    """Where the plot lies."""

    left: float
    top: float
    bottom: float
    x: Axis
    y: Axis

    def at(self, x: Any, y: float) -> tuple[float, float]:
        """The place of a value."""
        return self.left + self.x.place(x) * (RIGHT - self.left), self.bottom - self.y.place(y) * (
            self.bottom - self.top
        )


def plot(title: str, description: str, x: Axis, y: Axis, series: Sequence[Series], ring: str = "") -> Scene:
    """The whole chart; ``ring``: what a ring around a mark means."""
    lines = wrapped(title, WIDTH - 2 * MARGIN, TITLE)
    shapes: list[Shape] = [
        Label(MARGIN, MARGIN + TITLE + number * (TITLE + 3), line, size=TITLE, bold=True)
        for number, line in enumerate(lines)
    ]
    top = MARGIN + len(lines) * (TITLE + 3) + 26
    left = MARGIN + max([24.0, *(text_width(text, SMALL) for _, text in y.ticks)]) + 6
    frame = Frame(left, top, top + PLOT_HEIGHT, x, y)
    shapes += [Label(MARGIN, top - 12, y.label, size=SMALL, colour="muted")]
    shapes += _grid(frame)
    below, ticks = _ticks(frame)
    shapes += ticks
    for one in series:
        shapes += _drawn(one, frame)
    end, legend = _legend([one for one in series if one.named], ring, below)
    return Scene(end + MARGIN, title, description, [*shapes, *legend])


def _grid(frame: Frame) -> list[Shape]:
    shapes: list[Shape] = []
    for place, text in frame.y.ticks:
        height = frame.bottom - place * (frame.bottom - frame.top)
        shapes.append(Stroke(((frame.left, height), (RIGHT, height)), "grid"))
        shapes.append(Label(frame.left - 5, height + 4, text, "end", SMALL, "muted"))
    shapes.append(Stroke(((frame.left, frame.bottom), (RIGHT, frame.bottom)), "muted"))
    return shapes


def _ticks(frame: Frame) -> tuple[float, list[Shape]]:
    """Those of x, slanted if they have no room, and its name; how far they reach down."""
    width = RIGHT - frame.left
    places = [frame.left + place * width for place, _ in frame.x.ticks]
    texts = [cut(text, LONGEST_TICK, SMALL) for _, text in frame.x.ticks]
    room = min((b - a for a, b in itertools.pairwise(places)), default=width)
    widest = max((text_width(text, SMALL) for text in texts), default=0.0)
    slanted = widest + 4 > room
    if slanted and not frame.x.of_words:  # numbers: leave out those that would lie on others
        texts, slanted = _thinned(places, texts), False
    down = 12 + 0.75 * widest if slanted else 15
    anchor, angle = ("end", -45.0) if slanted else ("middle", 0.0)
    shapes: list[Shape] = [
        Label(place + 3 * slanted, frame.bottom + (11 if slanted else 15), text, anchor, SMALL, "muted", angle)
        for place, text in zip(places, texts, strict=True)
        if text
    ]
    shapes += [Stroke(((place, frame.bottom), (place, frame.bottom + 3)), "muted") for place in places]
    name = Label(
        (frame.left + RIGHT) / 2, frame.bottom + down + 17, cut(frame.x.label, width, SMALL), "middle", SMALL, "muted"
    )
    return frame.bottom + down + 22, [*shapes, name]


def _thinned(places: Sequence[float], texts: Sequence[str]) -> list[str]:
    kept, last = [], float("-inf")
    for place, text in zip(places, texts, strict=True):
        half = text_width(text, SMALL) / 2
        kept.append(text if place - half > last else "")
        last = place + half + 4 if kept[-1] else last
    return kept


def _drawn(series: Series, frame: Frame) -> list[Shape]:
    colour = f"s{series.number % NUM_SERIES}"
    at = [frame.at(point.x, point.y) for point in series.points]
    shapes: list[Shape] = []
    if series.banded:
        edges = [point for point in series.points if point.low is not None and point.high is not None]
        upper = [frame.at(point.x, point.high or 0.0) for point in edges]
        lower = [frame.at(point.x, point.low or 0.0) for point in reversed(edges)]
        shapes += [Area((*upper, *lower), colour)] if len(edges) > 1 else []
    if series.joined and len(at) > 1:
        shapes.append(Stroke(tuple(at), colour, 1.8, _dash(series.number)))
    if series.banded:
        return shapes
    for (x, y), point in zip(at, series.points, strict=True):
        if point.low is not None and point.high is not None:
            low, high = frame.at(point.x, point.low)[1], frame.at(point.x, point.high)[1]
            shapes.append(Stroke(((x, low), (x, high)), colour, 1.2))
            shapes += [Stroke(((x - 3, end), (x + 3, end)), colour, 1.2) for end in (low, high)]
        shapes.append(Mark(x, y, MARKS[series.number % len(MARKS)], colour, point.ring, point.tip))
    return shapes


def _dash(number: int) -> tuple[float, ...]:
    return DASHES[number % len(DASHES)]


def _legend(series: Sequence[Series], ring: str, top: float) -> tuple[float, list[Shape]]:
    """The names of the lines, in rows; how far it reaches down."""
    shapes: list[Shape] = []
    x, y = MARGIN, top + LINE
    entries = [(one, cut(one.name, WIDTH - 60, SMALL)) for one in series if one.name]
    for entry, text in [*entries, *([(None, ring)] if ring else [])]:
        width = 30 + text_width(text, SMALL) + 12
        if x + width > WIDTH and x > MARGIN:
            x, y = MARGIN, y + LINE + 2
        shapes += _sample(entry, x, y - 4)
        shapes.append(Label(x + 30, y, text, size=SMALL))
        x += width
    return (y + 4 if shapes else top), shapes


def _sample(series: Series | None, x: float, y: float) -> list[Shape]:
    """What a line looks like; of None: a ring."""
    if series is None:
        return [Mark(x + 13, y, "circle", "muted", ring=True)]
    colour = f"s{series.number % NUM_SERIES}"
    line: list[Shape] = [Stroke(((x, y), (x + 26, y)), colour, 1.8, _dash(series.number))] if series.joined else []
    return line if series.banded else [*line, Mark(x + 13, y, MARKS[series.number % len(MARKS)], colour)]
