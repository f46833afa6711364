"""Targets drawn by code: binary pictures of any size, without a file.

A drawing is a function of the position in the unit square, x to the right and y down. Its columns are time steps and
its rows are neurons, so a raster plot with time to the right and neuron 0 at the top shows the picture upright.
"""

import re
from collections.abc import Callable

import numpy as np

from qsnn.data.generators.font import text_bitmap
from qsnn.data.streams import random_stream
from qsnn.errors import DataError

LETTERS_PREFIX = "letters:"
_WORDS = ("nd", "lab", "nand")
_LETTERS = re.compile("[A-Za-z0-9]{1,8}")
_MARGIN = 0.04  # of the picture's width and height, on each side of a word
_STROKE = 0.08  # of the picture's width and height
_MAX_LETTER_ASPECT = 2.0  # height over width of one font pixel; more makes long words hard to read


def built_in_targets() -> list[str]:
    """Names that `draw_target` knows, for messages and help; it also knows `letters:TEXT` for other words."""
    return [*_DRAWINGS, *_WORDS]


def is_built_in_target(name: str) -> bool:
    """Say whether `name` asks for a drawing and not for a file."""
    return name in built_in_targets() or name.startswith(LETTERS_PREFIX)


def draw_target(name: str, num_steps: int, num_outputs: int) -> np.ndarray:
    """Draw the built-in target `name` as bool [num_steps, num_outputs]: the transpose of the upright picture.

    Args:
        name: one of `built_in_targets()`, or `letters:TEXT` with 1 to 8 characters of A-Z, a-z, 0-9.
        num_steps: width of the picture. A drawing is stretched to the size asked for.
        num_outputs: height of the picture. About 8 x 8 is the least at which smile and tree can be told.

    Raises:
        DataError: unknown name, a text that cannot be drawn, or too few steps or outputs for its letters.
    """
    if name in _DRAWINGS:
        x = (np.arange(num_steps) + 0.5) / num_steps
        y = (np.arange(num_outputs) + 0.5) / num_outputs
        # Below about 15 pixels the usual stroke would be thinner than a pixel and break up.
        stroke = max(_STROKE, 1.2 / min(num_steps, num_outputs))
        return _DRAWINGS[name](x[:, None], y[None, :], stroke)
    return _draw_letters(_text_of(name), num_steps, num_outputs)


def keep_pixels(picture: np.ndarray, density: float, seed: int) -> np.ndarray:
    """Keep each set pixel of `picture` (bool, any shape) with probability `density` in [0, 1].

    The pixels kept at a lower density are among those kept at a higher one, under the same seed.
    """
    return picture & (random_stream(seed, "target").random(picture.shape) < density)


def _smile(x: np.ndarray, y: np.ndarray, stroke: float) -> np.ndarray:
    radius = np.hypot(x - 0.5, y - 0.5)
    outline = np.abs(radius - (0.48 - stroke / 2)) <= stroke / 2
    eyes = np.hypot(np.abs(x - 0.5) - 0.16, (y - 0.37) / 1.4) <= 0.75 * stroke
    mouth = (np.abs(radius - 0.26) <= stroke / 2) & (y > 0.57)
    return outline | eyes | mouth


def _tree(x: np.ndarray, y: np.ndarray, stroke: float) -> np.ndarray:
    side = np.abs(x - 0.5)
    picture = (side <= max(0.07, stroke / 2)) & (y > 0.7) & (y < 0.97)
    for top, bottom, half_width in ((0.03, 0.35, 0.22), (0.2, 0.58, 0.32), (0.38, 0.82, 0.42)):
        picture |= (side <= half_width * (y - top) / (bottom - top)) & (y <= bottom)
    return picture


_DRAWINGS: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {"smile": _smile, "tree": _tree}


def _text_of(name: str) -> str:
    text = name.removeprefix(LETTERS_PREFIX)
    if name not in _WORDS and not name.startswith(LETTERS_PREFIX):
        raise DataError(f"no built-in target is called {name!r}; there are {', '.join(built_in_targets())}")
    if not _LETTERS.fullmatch(text):
        raise DataError(
            f"target {name!r}: {LETTERS_PREFIX} takes 1 to 8 characters of A-Z, a-z, 0-9, as in letters:snn"
        )
    return text


def _draw_letters(text: str, num_steps: int, num_outputs: int) -> np.ndarray:
    bitmap = text_bitmap(text).T
    columns, rows = bitmap.shape
    if num_steps < columns or num_outputs < rows:
        raise DataError(
            f"target {text!r} needs dataset.num_steps >= {columns} and dataset.num_outputs >= {rows} to be legible,"
            f" found {num_steps} and {num_outputs}; raise them or take a shorter word"
        )
    width = num_steps - 2 * min(round(_MARGIN * num_steps), (num_steps - columns) // 2)
    height = num_outputs - 2 * min(round(_MARGIN * num_outputs), (num_outputs - rows) // 2)
    tallest = round(num_outputs * rows * _MAX_LETTER_ASPECT * width / num_steps / columns)
    height = max(rows, min(height, tallest))
    left, top = (num_steps - width) // 2, (num_outputs - height) // 2
    target = np.zeros((num_steps, num_outputs), dtype=bool)
    enlarged = bitmap[np.arange(width) * columns // width][:, np.arange(height) * rows // height]
    target[left : left + width, top : top + height] = enlarged
    return target
