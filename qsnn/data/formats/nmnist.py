"""The .bin files of N-MNIST: 5 bytes an event, big endian: x, y, then the polarity in one bit and the time in 23 bits.

Orchard et al., "Converting Static Image Datasets to Spiking Neuromorphic Datasets Using Saccades", 2015. The files have no
header. Time is in microseconds, a set polarity bit means ON. 23 bits are 8.4 s, far more than the 0.3 s of a recording, so
time never wraps; events that go backward in time are refused.
"""

from pathlib import Path

import numpy as np

from qsnn.data.formats.event_file import backward, broken, outside
from qsnn.data.formats.guard import read_bytes
from qsnn.data.recording import Events

NMNIST_SENSOR = (34, 34)  # height, width
_EVENT_BYTES = 5


def read_nmnist(path: Path, sensor: tuple[int, int] = NMNIST_SENSOR) -> Events:
    """Read one recording. ``sensor``: (height, width), for other recordings in this format.

    Raises:
        DataError: names the file, the byte and what was expected: an empty file, an event that is cut short, one outside
            of the sensor, time that goes backward.
    """
    data = read_bytes(path)
    if len(data) % _EVENT_BYTES:
        rest = len(data) % _EVENT_BYTES
        raise broken(path, len(data) - rest, f"the file ends after {rest} bytes of an event", f"{_EVENT_BYTES} bytes")
    columns = np.frombuffer(data, np.uint8).reshape(-1, _EVENT_BYTES).T
    high, middle, low = (column.astype(np.int64) for column in columns[2:])
    x, y = columns[0].astype(np.int16), columns[1].astype(np.int16)
    events = Events((high & 127) << 16 | middle << 8 | low, x, y, columns[2] >= 128)
    index = outside(x, y, sensor)
    if index is not None:
        expected = f"x below {sensor[1]} and y below {sensor[0]}"
        raise broken(path, _EVENT_BYTES * index, f"an event at x = {x[index]}, y = {y[index]}", expected)
    index = backward(events.t)
    if index is not None:
        found = f"an event at {events.t[index]} us follows one at {events.t[index - 1]} us"
        raise broken(path, _EVENT_BYTES * index, found, "times that never go backward")
    return events
