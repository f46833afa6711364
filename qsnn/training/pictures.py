"""Spike rasters as pictures: time to the right, neurons downward, one pixel a spike."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from qsnn.models import PatternNetActivity
from qsnn.training.checkpoint import write_atomically

Picture = NDArray[np.uint8]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
MISSED, EXTRA = (230, 159, 0), (0, 114, 178)  # orange and blue: told apart by colour-blind readers too
MARGIN, CAPTION = 12, 18


def raster(spikes: Tensor) -> Picture:
    """The first sequence of (T, B, N) spikes as a gray picture (N, T): black on white."""
    return np.where(spikes[:, 0].T.detach().cpu().numpy() > 0, 0, 255).astype(np.uint8)


def comparison(spikes: Tensor, target: Tensor) -> Picture:
    """Output against target (N, T, 3): black hit, orange missed, blue extra, white rightly silent."""
    output, wanted = raster(spikes) == 0, raster(target) == 0
    picture = np.full((*output.shape, 3), WHITE, dtype=np.uint8)
    picture[output & wanted], picture[wanted & ~output], picture[output & ~wanted] = BLACK, MISSED, EXTRA
    return picture


def rasters(activity: PatternNetActivity, input_spikes: Tensor, target: Tensor) -> dict[str, Picture]:
    """All rasters of an epoch by name."""
    return {
        "input": raster(input_spikes),
        "hidden": raster(activity.hidden.spikes),
        "output": raster(activity.output.spikes),
        "target": raster(target),
        "output_against_target": comparison(activity.output.spikes, target),
    }


def write_raster(path: Path, activity: PatternNetActivity, target: Tensor, title: str) -> None:
    """One picture, written atomically: target, output, both in colour, and the hidden spikes, side by side."""
    panels = [
        ("target", raster(target)),
        ("output", raster(activity.output.spikes)),
        ("hit black, missed orange, extra blue", comparison(activity.output.spikes, target)),
        ("hidden", raster(activity.hidden.spikes)),
    ]
    enlarge = max(1, 250 // panels[0][1].shape[1])  # a short sequence is drawn larger, so that captions fit
    images = [Image.fromarray(p).convert("RGB") for _, p in panels]
    images = [
        image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.NEAREST) for image in images
    ]
    width = sum(image.width + MARGIN for image in images) + MARGIN
    sheet = Image.new("RGB", (width, max(i.height for i in images) + 2 * CAPTION + 2 * MARGIN), (238, 238, 238))
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN // 2), f"{title}; time to the right, neurons downward", fill=BLACK)
    left = MARGIN
    for (caption, _), image in zip(panels, images, strict=True):
        draw.text((left, CAPTION + MARGIN // 2), caption, fill=BLACK)
        sheet.paste(image, (left, 2 * CAPTION + MARGIN // 2))
        left += image.width + MARGIN
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    write_atomically(path, lambda file: file.write(buffer.getvalue()))
