"""A chart as PNG, in the light colours: drawn twice as large as it becomes, which smooths its lines."""

import io
import itertools
import math
from collections.abc import Iterator
from functools import lru_cache, singledispatch
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from qsnn.comparing.charts.scene import LIGHT, WIDTH, Area, Box, Label, Mark, Points, Scene, Stroke, mark_outline

SCALE, SMOOTHING = 2, 2
FACTOR = SCALE * SMOOTHING
ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}


def png(scene: Scene) -> bytes:
    """The bytes of a PNG file, `SCALE` pixels a point."""
    image = Image.new("RGB", (WIDTH * FACTOR, math.ceil(scene.height) * FACTOR), LIGHT["paper"])
    for shape in scene.shapes:
        draw(shape, image)
    buffer = io.BytesIO()
    small = image.resize((WIDTH * SCALE, math.ceil(scene.height) * SCALE), Image.Resampling.BOX)
    small.save(buffer, format="PNG")
    return buffer.getvalue()


def _colour(name: str) -> str:
    return name if name.startswith("#") else LIGHT[name]


def _scaled(points: Points) -> list[tuple[float, float]]:
    return [(x * FACTOR, y * FACTOR) for x, y in points]


@lru_cache(maxsize=16)
def _font(size: float) -> Any:
    return ImageFont.load_default(size * FACTOR)


@singledispatch
def draw(shape: Any, image: Image.Image) -> None:
    """Put a shape on an image that is `FACTOR` pixels a point."""
    raise TypeError(f"nobody knows how to draw {type(shape).__name__}")


@draw.register
def _stroke(shape: Stroke, image: Image.Image) -> None:
    width = max(1, round(shape.width * FACTOR))
    for part in _dashed(shape.points, shape.dash) if shape.dash else [shape.points]:
        ImageDraw.Draw(image).line(_scaled(part), fill=_colour(shape.colour), width=width, joint="curve")


def _dashed(points: Points, dash: tuple[float, ...]) -> Iterator[Points]:
    """The parts of a line that are drawn."""
    place, left, drawn = 0, dash[0], True
    for (x, y), (to_x, to_y) in itertools.pairwise(points):
        length = math.hypot(to_x - x, to_y - y)
        done = 0.0
        while done < length:
            step = min(left, length - done)
            if drawn:
                ends = [(x + (to_x - x) * s / length, y + (to_y - y) * s / length) for s in (done, done + step)]
                yield (ends[0], ends[1])
            done, left = done + step, left - step
            if left <= 0:
                place, drawn = (place + 1) % len(dash), not drawn
                left = dash[place]


@draw.register
def _area(shape: Area, image: Image.Image) -> None:
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).polygon(_scaled(shape.points), fill=46)
    image.paste(_colour(shape.colour), (0, 0), mask)


@draw.register
def _mark(shape: Mark, image: Image.Image) -> None:
    pen, colour = ImageDraw.Draw(image), _colour(shape.colour)
    if shape.shape == "circle":
        pen.ellipse(_around(shape, 4), fill=colour, outline=LIGHT["paper"], width=FACTOR // 2)
    else:
        pen.polygon(_scaled(mark_outline(shape)), fill=colour, outline=LIGHT["paper"], width=FACTOR // 2)
    if shape.ring:
        pen.ellipse(_around(shape, 7.5), outline=LIGHT["ink"], width=round(1.4 * FACTOR))


def _around(mark: Mark, radius: float) -> list[tuple[float, float]]:
    return _scaled(((mark.x - radius, mark.y - radius), (mark.x + radius, mark.y + radius)))


@draw.register
def _box(shape: Box, image: Image.Image) -> None:
    corners = _scaled(((shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)))
    ImageDraw.Draw(image).rectangle(corners, fill=shape.fill)


@draw.register
def _label(shape: Label, image: Image.Image) -> None:
    font, colour, anchor = _font(shape.size), _colour(shape.colour), ANCHORS[shape.anchor]
    x, y, weight, text = shape.x * FACTOR, shape.y * FACTOR, FACTOR // 3 * shape.bold, " ".join(shape.text.split())
    if not shape.angle:
        ImageDraw.Draw(image).text((x, y), text, font=font, fill=colour, anchor=anchor, stroke_width=weight)
        return
    side = 2 * math.ceil(font.getlength(text) + font.size)
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).text((side / 2, side / 2), text, font=font, fill=255, anchor=anchor, stroke_width=weight)
    turned = mask.rotate(-shape.angle, resample=Image.Resampling.BICUBIC)
    image.paste(colour, (round(x - side / 2), round(y - side / 2)), turned)
