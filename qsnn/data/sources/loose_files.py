"""Recordings that belong to no data set: files that somebody asks a net about."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from qsnn.data.formats.aedat2 import AEDAT2Options
from qsnn.data.formats.any_events import SUFFIXES, first_bytes, kind_of, load_events, told_sensor, usual_sensor
from qsnn.data.formats.clock import log_remarks
from qsnn.data.recording import Recording
from qsnn.data.sources.folder_files import files_below
from qsnn.errors import DataError


class LooseFiles:
    """An event source (`qsnn.data.events.source`) of ``files`` for a net that knows ``classes`` and a ``sensor``. All labels
    are 0."""

    name = "files"
    root: Path | None = None
    in_time = False

    def __init__(
        self, files: list[Path], classes: tuple[str, ...], sensor: tuple[int, int], options: AEDAT2Options,
        sensor_was_chosen: bool = False,
    ) -> None:  # fmt: skip
        self.classes, self.sensor, self._files, self._options = classes, sensor, files, options
        self._chosen = sensor_was_chosen

    def fingerprint(self) -> str:
        """A hash of names, sizes and times."""
        stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self._files]
        return hashlib.blake2b(json.dumps([stamps, self.sensor, self._options]).encode(), digest_size=16).hexdigest()

    def __len__(self) -> int:
        return len(self._files)

    def recordings(self) -> Iterator[Recording]:
        """Read one file after the other. Raises DataError."""
        for path in self._files:
            start = first_bytes(path)
            kind = kind_of(path, start)
            if kind is None:
                readable = f"{', '.join(SUFFIXES)} and what begins with #!AER-DAT"
                raise DataError(f"{path} is no recording that can be read; read are {readable}")
            told = told_sensor(kind, start) or (None if self._chosen else usual_sensor(kind))
            if told not in (None, self.sensor):
                seen = f"{path} is of a camera with {told[0]} x {told[1]} pixels" if told else str(path)
                raise DataError(f"{seen} (height, width), the net learned from {self.sensor[0]} x {self.sensor[1]}")
            reading = load_events(path, kind, self.sensor, self._options)
            log_remarks(path, reading)
            yield Recording(str(path), 0, str(path), False, reading.events, reading.remarks)


def find_recordings(paths: list[Path]) -> list[Path]:
    """The files that are named, and all that can be read in the folders that are. Raises DataError for none."""
    found = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} is not there; relative paths start at {Path.cwd()}")
        inside = sorted(files_below(path)) if path.is_dir() else [path]
        readable = [file for file in inside if path.is_file() or kind_of(file, first_bytes(file)) is not None]
        if not readable:
            raise DataError(f"{path} holds no recording that can be read: {', '.join(SUFFIXES)}")
        found += readable
    return found
