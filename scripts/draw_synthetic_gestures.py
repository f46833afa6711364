"""Draw the synthetic gestures: a row a class, a picture for every 200 ms, ON events blue, OFF events red.

    python scripts/draw_synthetic_gestures.py [FILE] [--user 1] [--light led] [--generator-seed 0] [--duration 1.6]

Writes docs/synthetic_gesture.png unless FILE is given.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from qsnn.data.generators.gestures.lights import LIGHTS
from qsnn.data.generators.gestures.motion import CLASSES, SENSOR
from qsnn.data.generators.gestures.recording import generate_recording
from qsnn.data.recording import Events

SLICE = 200_000  # microseconds
SATURATION = 4  # events of a pixel that give the full colour
GAP, MARGIN = 4, 110  # pixels between pictures; for the names
ON, OFF = np.array([40, 90, 220]), np.array([220, 60, 40])


def picture(events: Events, begin: int) -> NDArray[np.uint8]:
    """Events of one slice on white, [height, width, 3]: the more of them, the fuller the colour."""
    inside = (events.t >= begin) & (events.t < begin + SLICE)
    drawn = np.full((*SENSOR, 3), 255.0)
    for polarity, colour in ((True, ON), (False, OFF)):
        counts = np.zeros(SENSOR)
        chosen = inside & (events.polarity == polarity)
        np.add.at(counts, (events.y[chosen], events.x[chosen]), 1)
        drawn -= np.minimum(counts / SATURATION, 1)[:, :, None] * (255 - colour)
    return drawn.clip(0, 255).astype(np.uint8)


def draw(user: int, light: str, seed: int, duration: float) -> Image.Image:
    """All classes of one user in one light."""
    height, width = SENSOR
    num_slices = max(int(duration * 1e6) // SLICE, 1)
    page = Image.new("RGB", (MARGIN + num_slices * (width + GAP), len(CLASSES) * (height + GAP)), (200, 200, 200))
    pen = ImageDraw.Draw(page)
    for row, gesture in enumerate(CLASSES):
        events = generate_recording(seed, user, light, row, 0, round(duration * 1e6))
        pen.multiline_text((6, row * (height + GAP) + 40), gesture.replace(" ", "\n"), fill="black")
        for column in range(num_slices):
            corner = MARGIN + column * (width + GAP), row * (height + GAP)
            page.paste(Image.fromarray(picture(events, column * SLICE)), corner)
    return page


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "docs" / "synthetic_gesture.png"
    parser.add_argument("file", type=Path, nargs="?", default=default)
    parser.add_argument("--user", type=int, default=1)
    parser.add_argument("--light", choices=LIGHTS, default="led")
    parser.add_argument("--generator-seed", type=int, default=0)
    parser.add_argument("--duration", type=float, default=1.6, help="seconds")
    options = parser.parse_args()
    draw(options.user, options.light, options.generator_seed, options.duration).quantize(64).save(
        options.file, optimize=True
    )


if __name__ == "__main__":
    main()
