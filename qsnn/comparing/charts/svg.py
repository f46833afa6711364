"""A chart as SVG for a page: its colours are variables of the page, such as ``--paper``, so that it gets dark with it."""

from functools import singledispatch
from html import escape
from typing import Any

from qsnn.comparing.charts.scene import WIDTH, Area, Box, Label, Mark, Points, Scene, Stroke, mark_outline


def svg(scene: Scene, name: str) -> str:
    """An ``svg`` element; ``name``: unlike that of any other in the page, a word of letters, digits and hyphens."""
    body = "".join(draw(shape) for shape in scene.shapes)
    return (
        f'<svg viewBox="0 0 {WIDTH} {_number(scene.height)}" role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{escape(scene.title)}</title><desc id="{name}-text">{escape(scene.description)}</desc>'
        f"{body}</svg>"
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _points(points: Points) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


@singledispatch
def draw(shape: Any) -> str:
    """An element."""
    raise TypeError(f"nobody knows how to draw {type(shape).__name__}")


@draw.register
def _stroke(shape: Stroke) -> str:
    dash = f' stroke-dasharray="{" ".join(map(_number, shape.dash))}"' if shape.dash else ""
    return (
        f'<polyline points="{_points(shape.points)}" fill="none" stroke="var(--{shape.colour})" '
        f'stroke-width="{_number(shape.width)}" stroke-linejoin="round"{dash}/>'
    )


@draw.register
def _area(shape: Area) -> str:
    return f'<polygon points="{_points(shape.points)}" fill="var(--{shape.colour})" fill-opacity="0.18"/>'


@draw.register
def _mark(shape: Mark) -> str:
    colour = f'fill="var(--{shape.colour})" stroke="var(--paper)" stroke-width="0.8"'
    at = f'cx="{_number(shape.x)}" cy="{_number(shape.y)}"'
    ring = f'<circle {at} r="7.5" fill="none" stroke="var(--ink)" stroke-width="1.4"/>' if shape.ring else ""
    if shape.shape == "circle":
        return f'<g>{_tip(shape.tip)}<circle {at} r="4" {colour}/>{ring}</g>'
    return f'<g>{_tip(shape.tip)}<polygon points="{_points(mark_outline(shape))}" {colour}/>{ring}</g>'


@draw.register
def _box(shape: Box) -> str:
    place = " ".join(f'{name}="{_number(getattr(shape, name))}"' for name in ("x", "y", "width", "height"))
    return f'<rect {place} fill="{shape.fill}">{_tip(shape.tip)}</rect>'


@draw.register
def _label(shape: Label) -> str:
    x, y = _number(shape.x), _number(shape.y)
    turned = f' transform="rotate({_number(shape.angle)} {x} {y})"' if shape.angle else ""
    bold = ' font-weight="600"' if shape.bold else ""
    fill = shape.colour if shape.colour.startswith("#") else f"var(--{shape.colour})"
    return (
        f'<text x="{x}" y="{y}" text-anchor="{shape.anchor}" font-size="{_number(shape.size)}" fill="{fill}"{bold}{turned}>'
        f"{escape(shape.text)}</text>"
    )
