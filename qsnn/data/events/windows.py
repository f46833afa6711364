"""From the events of a time window to a raster: bins of dt, a smaller sensor, and one of four kinds of channels.

Shape letters: T time steps, C channels, H height, W width after downsampling.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

INPUT_MODES = (0, 1, 2, 3)
_CHANNELS = {0: 2, 1: 1, 2: 1, 3: 2}
SIGNED_MODES = (2, 3)


class WindowSettings(NamedTuple):
    """What a raster is made of.

    ``dt``: length of a step in s, a whole number of microseconds. ``num_steps``: T. ``input_mode``: 0: two channels, ON and
    OFF, a pixel is 1 where the step has an event of that kind; 1: one channel, 1 where the step has any event; 2: one
    channel of +1, 0, -1: the sign of the number of ON events less that of OFF events in the step; 3: the channel of
    2 twice. ``downsample``: pixels of the sensor, in both directions, that become one. ``jitter``: standard deviation in ms
    of the random shift of event times in training, see `jitter_times`. ``shift``: pixels, of the smaller raster, by which a
    window moves at most in each direction in training. ``rotation`` (degrees), ``zoom``: how far it is turned and stretched
    in training, see `qsnn.data.events.distortion`.
    """

    dt: float
    num_steps: int
    input_mode: int
    downsample: int
    jitter: float
    shift: int = 0
    rotation: float = 0.0
    zoom: float = 0.0

    @property
    def step(self) -> int:
        """dt in microseconds."""
        return round(self.dt * 1e6)


def input_shape(sensor: tuple[int, int], settings: WindowSettings) -> tuple[int, int, int]:
    """(C, H, W) of the rasters of a sensor (height, width). A last row or column of fewer pixels counts as whole."""
    height, width = (-(-size // settings.downsample) for size in sensor)
    return _CHANNELS[settings.input_mode], height, width


def raster_type(input_mode: int) -> np.dtype[Any]:
    """uint8 for modes 0 and 1, int8 for the signed ones."""
    return np.dtype(np.int8 if input_mode in SIGNED_MODES else np.uint8)


def pixel_table(sensor: tuple[int, int], settings: WindowSettings) -> NDArray[np.int64]:
    """[2 H W]: for each address of the full sensor, ON and OFF, its place in a flat (C, H, W); of mode 3 the first channel."""
    _, height, width = input_shape(sensor, settings)
    y, x = (np.arange(size) // settings.downsample for size in sensor)
    off = np.repeat((y[:, None] * width + x).ravel(), 2)
    if settings.input_mode != 0:
        return off
    off[::2] += height * width  # ON is channel 0, OFF channel 1
    return off


def jitter_times(time: NDArray[Any], sigma: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Times (microseconds) shifted by trunc(sigma * N(0, 1)) milliseconds each: most stay, few move by 1 ms or more.

    The shift is at least k ms with probability P(N >= k / sigma), so one uniform number an event decides it; that takes a
    third of the time of drawing normal deviates.
    """
    tails = _tails(sigma)
    uniform = rng.random(len(time))
    moved = time.astype(np.int64)
    far = np.flatnonzero(np.abs(uniform - 0.5) > 0.5 - tails[0])
    drawn = uniform[far]
    size = np.searchsorted(-tails, -np.minimum(drawn, 1 - drawn))  # how many tails are larger
    moved[far] += np.where(drawn < 0.5, -1000, 1000) * size
    return moved


@functools.lru_cache(maxsize=16)
def _tails(sigma: float) -> NDArray[np.float64]:
    """P(N >= k / sigma) for k = 1, 2, ... as far as 8.2 standard deviations, where a uniform number ends."""
    largest = max(1, int(8.2 * sigma))
    return np.array([math.erfc(k / sigma / math.sqrt(2)) / 2 for k in range(1, largest + 1)])


def scatter(batch: NDArray[Any], sample: int, step: NDArray[Any], pixel: NDArray[np.int64], on: NDArray[Any]) -> None:
    """Write the events of one window into a batch of `raster_type`.

    Args:
        batch: (T, B, C, H, W), contiguous, zeros.
        sample: place in B.
        step: time step of each event, 0..T-1.
        pixel: from `pixel_table`, of each event.
        on: 1 for ON events, 0 for OFF. In signed batches only.
    """
    flat = batch.reshape(-1)
    place = step.astype(np.int64)
    place *= batch[0].size
    place += pixel + sample * batch[0, 0].size
    if batch.dtype == np.uint8:
        flat[place] = 1
        return
    # Sorted by place, the events of a bin lie side by side, and their signs can be summed.
    place *= 2
    place += on
    place.sort()
    sign = (place & 1) * 2 - 1
    place >>= 1
    first = np.flatnonzero(np.diff(place, prepend=-1))
    total = np.sign(np.add.reduceat(sign, first)) if len(first) else first
    for channel in range(batch.shape[2]):
        flat[place[first] + channel * batch[0, 0, 0].size] = total
