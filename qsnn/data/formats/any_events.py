"""Any event recording that can be read: which kind a file is, what its header says of the camera, and its events.

A file that begins with ``#!AER-DAT`` is AEDAT of the version that follows, whatever its name; one without that line is what its
suffix says. Sound files of kinds that are not read (AEDAT 1.0, 4.0, ...) go to the nearest reader, which calls them by name.
"""

import re
import stat
from pathlib import Path

import numpy as np

from qsnn.data.formats.aedat2 import DVS128, AEDAT2Options, load_aedat2
from qsnn.data.formats.aedat3 import load_aedat3
from qsnn.data.formats.clock import Part, Reading
from qsnn.data.formats.nmnist import NMNIST_SENSOR, read_nmnist
from qsnn.data.recording import Events
from qsnn.errors import DataError

KINDS = ("aedat2", "aedat3", "nmnist")
SUFFIXES = {".aedat": "aedat2", ".aedat2": "aedat2", ".aedat3": "aedat3", ".aedat4": "aedat2", ".bin": "nmnist"}
_LOOK_AT = 4096  # bytes: the lines that tell version and camera come first
_VERSION = re.compile(rb"#!AER-DAT *(\d)")
_SOURCE = re.compile(
    rb"^#[ \t]*Source[ \t]+\d+:[ \t]*(DVS128|DAVIS(?:128|208|240|346|640))", re.MULTILINE | re.IGNORECASE
)
_CAMERAS = {
    b"dvs128": (128, 128), b"davis128": (128, 128), b"davis208": (192, 208), b"davis240": (180, 240),
    b"davis346": (260, 346), b"davis640": (480, 640),
}  # fmt: skip


def first_bytes(path: Path) -> bytes:
    """What `kind_of` and `told_sensor` look at; nothing of what is no regular file. Raises DataError if it cannot be opened."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(_LOOK_AT)
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check its permissions") from error


def kind_of(path: Path, start: bytes) -> str | None:
    """One of `KINDS`, by the file's first bytes, else by its suffix; None if neither tells."""
    version = _VERSION.match(start)
    if version:
        return "aedat3" if version[1] == b"3" else "aedat2"
    return SUFFIXES.get(path.suffix.lower())


def told_sensor(kind: str, start: bytes) -> tuple[int, int] | None:
    """(height, width) that a file's header or kind leaves no doubt of; None if it depends on the recording.

    AEDAT 2.0 is read of a DVS128 only. A header of AEDAT 3.1 names its cameras in lines ``#Source 1: DAVIS240C``.
    """
    if kind == "aedat2":
        return DVS128
    if kind == "nmnist":
        return None
    header = start.partition(b"#!END-HEADER")[0]
    sensors = {_CAMERAS[name.lower()] for name in _SOURCE.findall(header)}
    return sensors.pop() if len(sensors) == 1 else None


def usual_sensor(kind: str) -> tuple[int, int] | None:
    """(height, width) of a recording of which neither its header nor the user says it."""
    return NMNIST_SENSOR if kind == "nmnist" else None


def load_events(path: Path, kind: str, sensor: tuple[int, int], options: AEDAT2Options) -> Reading:
    """The events of a file, from time 0 on. Options of order and of external events are those of AEDAT.

    Args:
        path: the file.
        kind: from `kind_of`.
        sensor: (height, width) in pixels.
        options: ``on_bit=0`` exchanges ON and OFF, ``mirror_x`` and ``mirror_y`` the sides, in every kind of file.

    Raises:
        DataError: names the file, the byte and what was expected, as the reader of the kind does.
    """
    if kind == "aedat2":
        as_written = options._replace(on_bit=1, mirror_x=False, mirror_y=False)
        reading = load_aedat2(path, as_written)
    elif kind == "aedat3":
        reading = _from_zero(load_aedat3(path, sensor, options.sort_time))
    else:
        events = read_nmnist(path, sensor)
        reading = Reading(events, (Part(0, len(events.t), 0),), {})
    return reading._replace(events=_turned(reading.events, sensor, options))


def _from_zero(reading: Reading) -> Reading:
    """Times less that of the first event."""
    first = int(reading.events.t[0])
    parts = tuple(part._replace(shift=part.shift - first) for part in reading.parts)
    return reading._replace(events=reading.events._replace(t=reading.events.t - first), parts=parts)


def _turned(events: Events, sensor: tuple[int, int], options: AEDAT2Options) -> Events:
    """The events with sides and polarity as the options have them."""
    height, width = sensor
    return Events(
        events.t,
        (np.int16(width - 1) - events.x) if options.mirror_x else events.x,
        (np.int16(height - 1) - events.y) if options.mirror_y else events.y,
        events.polarity if options.on_bit else ~events.polarity,
    )
