"""Recordings turned and stretched in training: where each pixel of the sensor goes.

For few recordings: a net that has seen each at many angles and sizes tells by heart less of what is seldom the same. A moved
recording keeps its events' times and polarities; events that leave the sensor are lost, and where it grows pixels stay empty.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NOWHERE = -1


class Distortion(NamedTuple):
    """``angle``: radians, clockwise as rows go downward; ``height``, ``width``: factors on the two sides, after the turn."""

    angle: float
    height: float
    width: float


def draw_distortion(rotation: float, zoom: float, rng: np.random.Generator) -> Distortion:
    """Uniform: an angle of up to ``rotation`` degrees in each direction, and the logarithm of each side's factor, which lies
    between 1 / (1 + ``zoom``) and 1 + ``zoom``."""
    angle, *factors = rng.uniform(-1, 1, 3).tolist()
    height, width = (math.exp(math.log1p(zoom) * factor) for factor in factors)
    return Distortion(math.radians(rotation) * angle, height, width)


def moved_pixels(sensor: tuple[int, int], distortion: Distortion) -> NDArray[np.int64]:
    """[H W]: the pixel of a ``sensor`` (height, width) that each pixel, row by row, goes to; `NOWHERE` outside of it.

    The centre (x, y) of a pixel, from the centre of the sensor: ``x' = width (x cos a - y sin a)``,
    ``y' = height (x sin a + y cos a)``.
    """
    rows, columns = sensor
    y, x = np.mgrid[:rows, :columns].reshape(2, -1) - np.array([[(rows - 1) / 2], [(columns - 1) / 2]])
    cos, sin = math.cos(distortion.angle), math.sin(distortion.angle)
    down = np.floor(distortion.height * (x * sin + y * cos) + rows / 2).astype(np.int64)
    right = np.floor(distortion.width * (x * cos - y * sin) + columns / 2).astype(np.int64)
    inside = (down >= 0) & (down < rows) & (right >= 0) & (right < columns)
    return np.where(inside, down * columns + right, NOWHERE)
