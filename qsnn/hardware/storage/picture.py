"""Bits against sparsity: a line for each scheme, a panel for each width. Widths side by side on one scale."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from qsnn.files import write_atomically
from qsnn.hardware.storage.schemes import schemes_of, storage_bits
from qsnn.hardware.storage.synapses import Synapses, evenly_sparse

PANEL, MARGINS = (340, 300), (62, 34, 26, 44)  # left, top, right, bottom of a panel
LEGEND, FONT_SIZE, SAMPLES, DOT = 44, 12, 200, 5
INK, GRID, PAPER = (27, 31, 35), (223, 227, 232), (255, 255, 255)
COLOURS = {
    "crossbar": (0, 104, 168), "pb_bmp": (196, 78, 0), "pb_csr": (0, 128, 92),
    "functional": (176, 86, 138), "pb_signs": (107, 79, 187),
}  # fmt: skip
DASHES = {"crossbar": 0, "pb_bmp": 0, "pb_csr": 7, "functional": 3, "pb_signs": 5}
"""Samples of a dash; 0: a whole line."""
LEAST = 2.0**-6
"""Of bits a synapse: a layer without codes has next to none."""


class _Scale(NamedTuple):
    """Where a panel's plot begins, and the powers of two (as exponents) between which bits a synapse lie."""

    left: float
    top: float
    low: float
    high: float

    def at(self, sparsity: float, bits: float) -> tuple[float, float]:
        width, height = PANEL[0] - MARGINS[0] - MARGINS[2], PANEL[1] - MARGINS[1] - MARGINS[3]
        share = (math.log2(bits) - self.low) / (self.high - self.low)
        return self.left + MARGINS[0] + sparsity * width, self.top + MARGINS[1] + (1 - share) * height


def lines_of(layer: Synapses) -> dict[str, list[tuple[float, float]]]:
    """By scheme: sparsity, bits a synapse."""
    shares = [0.97 * number / SAMPLES for number in range(SAMPLES + 1)]  # beyond, indices fall to nothing
    layers = [evenly_sparse(layer, share) for share in shares]
    schemes = [scheme for scheme in schemes_of(layer) if layer.kernels or scheme != "functional"]
    return {
        scheme: [
            (share, max(LEAST, storage_bits(one, scheme) / layer.num))
            for share, one in zip(shares, layers, strict=True)
        ]
        for scheme in schemes
    }


def storage_picture(layer: Synapses, widths: Sequence[int], marks: Mapping[str, Synapses] | None = None) -> Image.Image:
    """``layer``: for its connections; ``marks``: layers of a net, each a ring in the panel of its width, if there is one."""
    panels = {width: lines_of(layer._replace(bits=width)) for width in widths}
    found = [bits for lines in panels.values() for points in lines.values() for _, bits in points]
    low, high = math.floor(math.log2(min(found))), math.ceil(math.log2(max(found)))
    columns = min(2, len(widths))
    size = columns * PANEL[0], -(-len(widths) // columns) * PANEL[1] + LEGEND
    image = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(FONT_SIZE)
    for number, (width, lines) in enumerate(panels.items()):
        scale = _Scale(number % columns * PANEL[0], number // columns * PANEL[1], low, high)
        _axes(draw, font, scale, f"{width} bits")
        for scheme, points in lines.items():
            _line(draw, [scale.at(*point) for point in points], scheme)
        for one in (marks or {}).values():
            if one.bits == width:
                _ring(draw, scale, one)
    _legend(draw, font, list(dict.fromkeys(scheme for lines in panels.values() for scheme in lines)), size, bool(marks))
    return image


def _axes(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, scale: _Scale, title: str
) -> None:
    step = max(1, round((scale.high - scale.low) / 7))
    for power in range(int(scale.low), int(scale.high) + 1, step):
        (left, y), (right, _) = scale.at(0, 2.0**power), scale.at(1, 2.0**power)
        draw.line((left, y, right, y), fill=GRID)
        draw.text((left - 5, y), f"{2.0**power:g}", fill=INK, font=font, anchor="rm")
    bottom = scale.at(0, 2.0**scale.low)[1]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        draw.text((scale.at(share, 1.0)[0], bottom + 4), f"{share:.0%}", fill=INK, font=font, anchor="ma")
    left, top = scale.at(0, 2.0**scale.high)
    draw.line((left, bottom, scale.at(1, 1.0)[0], bottom), fill=INK)
    draw.text((left, top - 8), f"{title}: bits a synapse", fill=INK, font=font, anchor="ls")
    draw.text((scale.at(0.5, 1.0)[0], bottom + 22), "zero codes", fill=INK, font=font, anchor="ma")


def _line(draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], scheme: str) -> None:
    dash = DASHES[scheme]
    pieces = [points] if not dash else [points[at : at + dash + 1] for at in range(0, len(points), 2 * dash)]
    for piece in pieces:
        draw.line(piece, fill=COLOURS[scheme], width=2)


def _ring(draw: ImageDraw.ImageDraw, scale: _Scale, layer: Synapses) -> None:
    """Where a layer's own zeros, in its own size, put it in each scheme."""
    for scheme in schemes_of(layer):
        if layer.kernels or scheme != "functional":
            bits = max(LEAST, storage_bits(layer, scheme) / layer.num)
            if scale.low <= math.log2(bits) <= scale.high:
                x, y = scale.at(layer.sparsity, bits)
                draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), outline=COLOURS[scheme], width=2)


def _legend(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, schemes: list[str],
    size: tuple[int, int], rings: bool,
) -> None:  # fmt: skip
    x, y = 14.0, size[1] - LEGEND + 10.0
    for scheme in schemes:
        _line(draw, [(x + number, y) for number in range(28)], scheme)
        draw.text((x + 34, y), scheme, fill=INK, font=font, anchor="lm")
        x += 46 + draw.textlength(scheme, font=font)
    if rings:
        draw.text((14, y + 18), "rings: layers of this net, at their own sizes", fill=INK, font=font, anchor="lm")


def write_storage_picture(
    path: Path, layer: Synapses, widths: Sequence[int], marks: Mapping[str, Synapses] | None = None
) -> None:
    """`storage_picture` as a PNG, written atomically. Raises OSError."""
    buffer = io.BytesIO()
    storage_picture(layer, widths, marks).save(buffer, format="PNG")
    write_atomically(path, lambda file: file.write(buffer.getvalue()))
