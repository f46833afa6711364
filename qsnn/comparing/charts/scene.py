"""What a chart is made of. Lengths in points of a chart `WIDTH` points wide; x to the right, y downward.

Colours are names, so that a page can have them light or dark: ``ink``, ``muted``, ``grid``, ``paper``, and ``s0`` to ``s7`` for
the lines of a chart, which also differ in marks and dashes.
"""

from typing import NamedTuple

WIDTH = 380
TEXT, SMALL, TITLE = 12.0, 11.0, 13.0
NUM_SERIES = 8
LIGHT = {
    "paper": "#ffffff", "ink": "#1b1f23", "muted": "#5b6470", "grid": "#dfe3e8",
    "s0": "#0068a8", "s1": "#c44e00", "s2": "#00805c", "s3": "#b0568a",
    "s4": "#8a6100", "s5": "#3c7fb8", "s6": "#6b4fbb", "s7": "#444b54",
}  # fmt: skip
DARK = {
    "paper": "#14181d", "ink": "#e8ebee", "muted": "#a3adb8", "grid": "#343c46",
    "s0": "#56b4e9", "s1": "#ff9157", "s2": "#2fc99d", "s3": "#e7a3cb",
    "s4": "#f0be4a", "s5": "#8fc7f4", "s6": "#b7a3f5", "s7": "#c3cad2",
}  # fmt: skip
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 3), (2, 2.5), (8, 3, 2, 3))
MARKS = ("circle", "square", "triangle", "diamond", "cross")
Points = tuple[tuple[float, float], ...]


class Stroke(NamedTuple):
    """A line through ``points``."""

    points: Points
    colour: str
    width: float = 1.0
    dash: tuple[float, ...] = ()


class Area(NamedTuple):
    """A polygon, lightly filled."""

    points: Points
    colour: str


class Mark(NamedTuple):
    """A point; ``ring``: with a ring around it; ``tip``: what it is, for whoever points at it."""

    x: float
    y: float
    shape: str
    colour: str
    ring: bool = False
    tip: str = ""


class Box(NamedTuple):
    """A rectangle in a colour of its own, "#rrggbb"."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    tip: str = ""


class Label(NamedTuple):
    """Text whose baseline begins ("start"), has its middle ("middle") or ends ("end") at (x, y), turned clockwise by ``angle``
    degrees."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    size: float = TEXT
    colour: str = "ink"
    angle: float = 0.0
    bold: bool = False


Shape = Stroke | Area | Mark | Box | Label


class Scene(NamedTuple):
    """A chart. ``description``: for who cannot see it."""

    height: float
    title: str
    description: str
    shapes: list[Shape]


def text_width(text: str, size: float = TEXT) -> float:
    """About how wide a text is: fonts differ."""
    return sum(0.3 if letter in "il.,:;|'! " else 0.85 if letter in "mwMW%@" else 0.57 for letter in text) * size


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Lines of at most ``width``, broken between words; a word that is too long is cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(cut(word, width, size))
    return lines or [""]


def cut(text: str, width: float, size: float) -> str:
    """The text, or its beginning and an ellipsis."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text}…"


def mark_outline(mark: Mark, radius: float = 4.0) -> Points:
    """The corners of a mark that is no circle."""
    x, y, r = mark.x, mark.y, radius
    if mark.shape == "square":
        return ((x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r))
    if mark.shape == "triangle":
        return ((x, y - 1.2 * r), (x + 1.15 * r, y + 0.9 * r), (x - 1.15 * r, y + 0.9 * r))
    if mark.shape == "diamond":
        return ((x, y - 1.3 * r), (x + 1.3 * r, y), (x, y + 1.3 * r), (x - 1.3 * r, y))
    a, b = 0.4 * r, 1.2 * r
    return (
        (x - a, y - b), (x + a, y - b), (x + a, y - a), (x + b, y - a), (x + b, y + a), (x + a, y + a),
        (x + a, y + b), (x - a, y + b), (x - a, y + a), (x - b, y + a), (x - b, y - a), (x - a, y - a),
    )  # fmt: skip
