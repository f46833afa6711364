"""A picture of error against bits of memory: every setting tried, the front, and what full precision's error allows."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from qsnn.reporting.pictures import BLACK, EXTRA, MISSED, PAPER, WHITE, Picture, write_picture

WIDTH, HEIGHT = 720, 480
LEFT, RIGHT, TOP, BOTTOM = 70, 40, 40, 50
GREY, DOT, TICKS = (150, 150, 150), 4, 5
FONT_SIZE = 13


class Point(NamedTuple):
    """A setting: bits, error, its standard error if there is one, and whether it is on the front."""

    bits: int
    error: float
    standard_error: float | None
    front: bool


class _Axes(NamedTuple):
    """Bits to the right, logarithmic; error upward. Ends of each."""

    bits: tuple[float, float]
    error: tuple[float, float]

    def x(self, bits: float) -> float:
        low, high = (math.log2(end) for end in self.bits)
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log2(bits) - low) / (high - low)

    def y(self, error: float) -> float:
        low, high = self.error
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (error - low) / (high - low)


def front_picture(points: Sequence[Point], kind: str, reference: float | None, limit: float | None) -> Picture:
    """``reference``: full precision's error; ``limit``: the largest that is allowed."""
    bits = [point.bits for point in points]
    errors = [point.error + (point.standard_error or 0) for point in points]
    highest = max([*errors, limit or 0, reference or 0, 1e-3])
    share = all(point.error <= 1 for point in points)  # no bar leads above 100 % of what is a share
    axes = _Axes((min(bits) / 1.15, max(bits) * 1.15), (0.0, error_marks(min(highest, 1.0) if share else highest)[-1]))
    image = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE)
    _frame(draw, axes, font, f"bits of memory in {kind}" if kind != "weights" else "bits of weights")
    levels = ((limit, "allowed", MISSED, WIDTH - RIGHT - 4, "rs"), (reference, "full precision", BLACK, LEFT + 4, "ls"))
    for level, text, colour, place, anchor in levels:
        if level is not None:
            draw.line((LEFT, axes.y(level), WIDTH - RIGHT, axes.y(level)), fill=colour)
            draw.text((place, axes.y(level) - 2), text, fill=colour, font=font, anchor=anchor)
    _points(draw, axes, points)
    draw.text((LEFT, 12), "error in validation: every setting, and the front (blue)", fill=BLACK, font=font)
    return image


def _frame(
    draw: ImageDraw.ImageDraw, axes: _Axes, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, title: str
) -> None:
    bottom = HEIGHT - BOTTOM
    for error in error_marks(axes.error[1]):
        draw.line((LEFT, axes.y(error), WIDTH - RIGHT, axes.y(error)), fill=PAPER)
        draw.text((LEFT - 6, axes.y(error)), f"{100 * error:.4g} %", fill=BLACK, font=font, anchor="rm")
    for bits in bit_marks(*axes.bits):
        draw.line((axes.x(bits), TOP, axes.x(bits), bottom), fill=PAPER)
        draw.text((axes.x(bits), bottom + 6), f"{bits:,.0f}", fill=BLACK, font=font, anchor="ma")
    draw.rectangle((LEFT, TOP, WIDTH - RIGHT, bottom), outline=BLACK)
    draw.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8), title, fill=BLACK, font=font, anchor="ms")


def _step(about: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, at least ``about``."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= about * 0.999)


def error_marks(highest: float) -> list[float]:
    """Round numbers from 0 to at least ``highest``."""
    step = _step(highest / TICKS)
    return [number * step for number in range(math.ceil(highest / step - 1e-9) + 1)]


def bit_marks(low: float, high: float) -> list[float]:
    """Round numbers between the ends of a logarithmic axis: powers of ten, or 1 and 3, or 1, 2 and 5 of them, whichever are
    three or more; where it is too short for these, multiples of a round number."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        marks = [mark for power in powers for factor in factors if low <= (mark := factor * 10.0**power) <= high]
        if len(marks) >= 3:
            return marks
    step = max(1.0, _step((high - low) / TICKS))
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _points(draw: ImageDraw.ImageDraw, axes: _Axes, points: Sequence[Point]) -> None:
    front = sorted((point for point in points if point.front), key=lambda point: point.bits)
    draw.line([(axes.x(point.bits), axes.y(point.error)) for point in front], fill=EXTRA, width=2)
    for point in sorted(points, key=lambda point: point.front):
        colour, x, y = EXTRA if point.front else GREY, axes.x(point.bits), axes.y(point.error)
        if point.standard_error:
            top = min(axes.error[1], point.error + point.standard_error)
            ends = (axes.y(max(0.0, point.error - point.standard_error)), axes.y(top))
            draw.line((x, ends[0], x, ends[1]), fill=colour)
        draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=colour)


def write_front(path: Path, points: Sequence[Point], kind: str, reference: float | None, limit: float | None) -> None:
    """`front_picture` as a PNG, written atomically. Raises OSError."""
    write_picture(path, front_picture(points, kind, reference, limit))
