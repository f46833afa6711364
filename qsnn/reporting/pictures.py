"""Spike rasters as pictures: time to the right, neurons downward, one pixel a spike."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from qsnn.files import write_atomically
from qsnn.training.run import Look

Picture = Image.Image
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
MISSED, EXTRA = (230, 159, 0), (0, 114, 178)  # orange and blue: told apart by colour-blind readers too
PAPER = (238, 238, 238)
MARGIN, CAPTION, CELL = 12, 18, 34
CAPTIONS = {"output_against_target": "hit black, missed orange, extra blue"}
TRUE_CLASS, PREDICTED_CLASS = "true class", "predicted class"


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


def rasters(look: Look) -> dict[str, Picture]:
    """All that there is to see, by name."""
    pictures = {name: raster(spikes) for name, spikes in look.rasters.items()}
    if look.target is not None:
        pictures["target"] = raster(look.target)
        pictures["output_against_target"] = comparison(look.rasters["output"], look.target)
    return pictures


def png(picture: Picture) -> bytes:
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def _enlarged(picture: Picture, factor: int) -> Picture:
    size = picture.width * factor, picture.height * factor
    return picture.convert("RGB").resize(size, Image.Resampling.NEAREST)


def sheet(panels: list[tuple[str, Picture]], title: str) -> Picture:
    """Pictures side by side, each with its caption, below a title; rasters, which are no RGB, enlarged alike."""
    rasters = [picture for _, picture in panels if picture.mode != "RGB"]
    # A short sequence of few neurons is drawn larger, so that captions fit.
    enlarge = max(1, min(250 // rasters[0].width, 600 // max(picture.height for picture in rasters)))
    images = [picture if picture.mode == "RGB" else _enlarged(picture, enlarge) for _, picture in panels]
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


def write_raster(path: Path, look: Look) -> None:
    """One picture, written atomically: with a target that, the output, both in colour, and the hidden spikes side by side;
    without one the input and every layer."""
    pictures = rasters(look)
    if look.target is not None:
        first = ("target", "output", "output_against_target")
        hidden = [name for name in pictures if name not in (*first, "input")]
        pictures = {CAPTIONS.get(name, name): pictures[name] for name in (*first, *hidden)}
    write_picture(path, sheet(list(pictures.items()), look.title))


def write_picture(path: Path, picture: Picture) -> None:
    """A PNG file, written atomically."""
    data = png(picture)
    write_atomically(path, lambda file: file.write(data))


def confusion_picture(counts: NDArray[np.int64], classes: tuple[str, ...]) -> Picture:
    """A confusion matrix (K, K): true class by row, predicted by column, darker for a larger share of the row.

    Names that are too long for the head of a column are numbered, and the columns have the numbers.
    """
    font = ImageFont.load_default(CAPTION - 6)
    short = all(font.getlength(name) < CELL for name in classes)
    heads = list(classes) if short else [str(number) for number in range(len(classes))]
    names = list(classes) if short else [f"{number}  {name}" for number, name in enumerate(classes)]
    counted = f"{np.trace(counts)} of {counts.sum()} right"
    widest = max(font.getlength(name) for name in (*names, TRUE_CLASS))
    left, top, size = int(widest) + 2 * MARGIN, 2 * CAPTION + 2 * MARGIN, CELL * len(classes)
    width = max(left + size, int(font.getlength(counted)) + MARGIN, left + int(font.getlength(PREDICTED_CLASS)))
    image = Image.new("RGB", (width + MARGIN, top + size + MARGIN), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, MARGIN // 2), counted, fill=BLACK, font=font)
    draw.text((left, top - 2 * CAPTION), PREDICTED_CLASS, fill=BLACK, font=font)
    draw.text((left - MARGIN, top - CAPTION), TRUE_CLASS, fill=BLACK, font=font, anchor="ra")
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    for row, name in enumerate(names):
        middle = row * CELL + CELL // 2
        side, anchor = (left - MARGIN, "rm") if short else (MARGIN, "lm")
        draw.text((side, top + middle), name, fill=BLACK, font=font, anchor=anchor)
        draw.text((left + middle, top - CAPTION), heads[row], fill=BLACK, font=font, anchor="ma")
        for column, share in enumerate(shares[row]):
            x, y = left + column * CELL, top + row * CELL
            shade = tuple(round(255 + share * (dark - 255)) for dark in EXTRA)
            draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=shade, outline=PAPER)
            ink = WHITE if share > 0.5 else BLACK
            if counts[row, column]:
                draw.text((x + CELL / 2, y + CELL / 2), str(counts[row, column]), fill=ink, font=font, anchor="mm")
    return image
