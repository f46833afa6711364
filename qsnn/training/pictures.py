"""Spike rasters as pictures: time to the right, neurons downward, one pixel a spike."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from qsnn.models import Activity
from qsnn.training.checkpoint import write_atomically

Picture = Image.Image
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
MISSED, EXTRA = (230, 159, 0), (0, 114, 178)  # orange and blue: told apart by colour-blind readers too
PAPER = (238, 238, 238)
MARGIN, CAPTION, CELL = 12, 18, 34


def _boolean(spikes: Tensor) -> NDArray[np.bool_]:
    """The first sequence of (T, B, N) spikes as (N, T)."""
    return spikes[:, 0].T.detach().cpu().numpy() > 0


def raster(spikes: Tensor) -> Picture:
    """The first sequence of (T, B, N) spikes as a picture (N, T) of one bit a pixel: black on white."""
    return Image.fromarray(~_boolean(spikes))


def comparison(spikes: Tensor, target: Tensor) -> Picture:
    """Output against target (N, T), in a palette: black hit, orange missed, blue extra, white rightly silent."""
    picture = Image.fromarray(_boolean(spikes) + 2 * _boolean(target).astype(np.uint8), mode="P")
    picture.putpalette([channel for colour in (WHITE, EXTRA, MISSED, BLACK) for channel in colour])
    return picture


def rasters(activity: Activity, input_spikes: Tensor, target: Tensor) -> dict[str, Picture]:
    """All rasters of an epoch by name."""
    return {
        "input": raster(input_spikes),
        **{name: raster(layer.spikes) for name, layer in activity.items()},
        "target": raster(target),
        "output_against_target": comparison(activity["output"].spikes, target),
    }


def png(picture: Picture) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def sheet(panels: list[tuple[str, Picture]], title: str) -> Picture:
    """Pictures side by side, each with its caption, below a title."""
    enlarge = max(1, 250 // panels[0][1].width)  # a short sequence is drawn larger, so that captions fit
    images = [picture.convert("RGB") for _, picture in panels]
    images = [
        image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.NEAREST) for image in images
    ]
    width = sum(image.width + MARGIN for image in images) + MARGIN
    whole = Image.new("RGB", (width, max(i.height for i in images) + 2 * CAPTION + 2 * MARGIN), PAPER)
    draw = ImageDraw.Draw(whole)
    draw.text((MARGIN, MARGIN // 2), title, fill=BLACK)
    left = MARGIN
    for (caption, _), image in zip(panels, images, strict=True):
        draw.text((left, CAPTION + MARGIN // 2), caption, fill=BLACK)
        whole.paste(image, (left, 2 * CAPTION + MARGIN // 2))
        left += image.width + MARGIN
    return whole


def write_raster(path: Path, activity: Activity, target: Tensor, title: str) -> None:
    """One picture, written atomically: target, output, both in colour, and the hidden spikes, side by side."""
    panels = [
        ("target", raster(target)),
        ("output", raster(activity["output"].spikes)),
        ("hit black, missed orange, extra blue", comparison(activity["output"].spikes, target)),
        *((name, raster(layer.spikes)) for name, layer in activity.items() if name != "output"),
    ]
    data = png(sheet(panels, f"{title}; time to the right, neurons downward"))
    write_atomically(path, lambda file: file.write(data))


def confusion_picture(counts: NDArray[np.int64], classes: tuple[str, ...]) -> Picture:
    """A confusion matrix (K, K): true class by row, predicted by column, darker for a larger share of the row."""
    font = ImageFont.load_default(CAPTION - 6)
    names = [f"{number}  {name}" for number, name in enumerate(classes)]
    left = int(max(font.getlength(name) for name in names)) + 2 * MARGIN
    top, size = 2 * CAPTION + MARGIN, CELL * len(classes)
    image = Image.new("RGB", (left + size + MARGIN, top + size + MARGIN), PAPER)
    draw = ImageDraw.Draw(image)
    correct = f"{np.trace(counts)} of {counts.sum()} right; rows: true class, columns: predicted"
    draw.text((MARGIN, MARGIN // 2), correct, fill=BLACK, font=font)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    for row, name in enumerate(names):
        draw.text((MARGIN, top + row * CELL + CELL // 3), name, fill=BLACK, font=font)
        draw.text((left + row * CELL + CELL // 3, top - CAPTION), str(row), fill=BLACK, font=font)
        for column, share in enumerate(shares[row]):
            x, y = left + column * CELL, top + row * CELL
            shade = tuple(round(255 + share * (dark - 255)) for dark in EXTRA)
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=shade, outline=PAPER)
            ink = WHITE if share > 0.5 else BLACK
            if counts[row, column]:
                draw.text((x + CELL / 2, y + CELL / 2), str(counts[row, column]), fill=ink, font=font, anchor="mm")
    return image
