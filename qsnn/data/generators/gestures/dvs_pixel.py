"""The pixel of a dynamic vision sensor: it reports changes of the logarithm of the light that falls on it.

A pixel remembers the logarithm at its last event. Where the light has grown by a threshold since then it sends an ON
event, where it has shrunk by one an OFF event, and is then blind for the refractory period, after which it remembers
what it sees. On top of these come events without a cause, the background activity.

Source: P. Lichtsteiner, C. Posch, T. Delbruck, A 128 x 128 120 dB 15 us latency asynchronous temporal contrast vision
sensor, IEEE J. Solid-State Circuits 43 (2008).
"""
# mypy: allow-untyped-defs

import numpy as np
from numpy.typing import NDArray

from qsnn.data.recording import Events
from qsnn.kernels.numba.runtime.compile import compiled

_CAPACITY = 1 << 17  # events that the first attempt has room for


@compiled("int64(float32[:,::1], int64[::1], float64, int64, int64[::1], int64[::1], b1[::1])")
def _emit(frames, times, threshold, refractory, event_time, event_pixel, event_polarity):
    """Write the events frame by frame, pixel by pixel; return their number, be it more than the arrays have room for."""
    count, num_pixels = 0, frames.shape[1]
    memory = frames[0].astype(np.float64)
    blind_until = np.full(num_pixels, float(times[0]))
    for f in range(1, len(frames)):
        begin, end = float(times[f - 1]), float(times[f])
        for pixel in range(num_pixels):
            if abs(frames[f, pixel] - memory[pixel]) < threshold and blind_until[pixel] < begin:
                continue
            before, after = float(frames[f - 1, pixel]), float(frames[f, pixel])
            slope = (after - before) / (end - begin)
            if begin <= blind_until[pixel] < end:
                memory[pixel] = before + slope * (blind_until[pixel] - begin)
            while blind_until[pixel] < end and abs(after - memory[pixel]) >= threshold:
                is_on = after > memory[pixel]
                memory[pixel] += threshold if is_on else -threshold
                moment = min(max(begin + (memory[pixel] - before) / slope, blind_until[pixel]), end)
                if count < len(event_time):
                    event_time[count], event_pixel[count], event_polarity[count] = int(moment), pixel, is_on
                count += 1
                blind_until[pixel] = moment + refractory
                memory[pixel] += slope * refractory
    return count


def _sorted(t: NDArray[np.int64], pixel: NDArray[np.int64], polarity: NDArray[np.bool_], width: int) -> Events:
    """Events in the order of time, those of one microsecond from left to right and from top to bottom."""
    order = np.lexsort((pixel, t))
    y, x = np.divmod(pixel[order], width)
    return Events(t[order], x.astype(np.int16), y.astype(np.int16), polarity[order])


def changes_to_events(
    frames: NDArray[np.float32], times: NDArray[np.int64], threshold: float, refractory: int
) -> Events:
    """Events of the changes in ``frames``, logarithms of intensity [F, height, width], at ``times`` (us) [F].

    Between two frames the logarithm runs straight. At first every pixel remembers the first frame. One that remembers m
    sends an event at the moment t' at which it sees m + threshold (ON) or m - threshold (OFF), rounded down to a
    microsecond, and then remembers what it sees at t' + refractory. So a ramp of slope s yields an event every
    threshold / |s| + refractory.

    ``times`` grow and are not negative; ``threshold``: of the natural logarithm, > 0; ``refractory``: microseconds, >= 0.
    """
    num_frames, height, width = frames.shape
    flat, times = np.ascontiguousarray(frames.reshape(num_frames, height * width)), np.ascontiguousarray(times)
    count = capacity = _CAPACITY
    while True:
        t, pixel, polarity = np.empty(capacity, np.int64), np.empty(capacity, np.int64), np.empty(capacity, np.bool_)
        count = _emit(flat, times, threshold, refractory, t, pixel, polarity)
        if count <= capacity:
            return _sorted(t[:count], pixel[:count], polarity[:count], width)
        capacity = count


def add_noise(
    events: Events,
    sensor: tuple[int, int],
    duration: int,
    noise_rate: float,
    refractory: int,
    rng: np.random.Generator,
) -> Events:
    """``events`` with background activity: a Poisson process of ``noise_rate`` (Hz) in each of the sensor's pixels.

    ``duration`` and ``refractory``: microseconds. A noise event is ON or OFF with equal probability, and is left out where
    it would come within the refractory period of an event of the same pixel.
    """
    height, width = sensor
    num_noise = int(rng.poisson(noise_rate * height * width * duration * 1e-6))
    t = np.concatenate([events.t, rng.integers(duration, size=num_noise)])
    address = np.concatenate(
        [events.y.astype(np.int64) * width + events.x, rng.integers(height * width, size=num_noise)]
    )
    polarity = np.concatenate([events.polarity, rng.integers(2, size=num_noise).astype(np.bool_)])
    is_noise = np.arange(len(t)) >= len(events.t)
    order = np.lexsort((t, address))
    too_close = (np.diff(address[order]) == 0) & (np.diff(t[order]) < max(refractory, 1))
    crowded = np.zeros(len(t), dtype=np.bool_)
    crowded[order[1:]] |= too_close
    crowded[order[:-1]] |= too_close
    kept = ~(crowded & is_noise)
    return _sorted(t[kept], address[kept], polarity[kept], width)
