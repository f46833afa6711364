"""Samples in a .npz that belong to no data set: arrays that somebody asks a net about."""

from collections.abc import Iterator
from pathlib import Path

from qsnn.data.recording import Recording
from qsnn.data.sources.array_file import ArrayFile, Layout
from qsnn.data.sources.files import files_fingerprint


class LooseArrays:
    """An event source (`qsnn.data.events.source`) of the samples in a .npz, for a net that knows ``classes``.

    ``path``, ``layout``, ``time_unit``: of `ArrayFile`, whose labels are not needed and not looked at: all labels are 0.
    Sample i is called <path>/i. Raises DataError where the file does not hold what it should.
    """

    name = "arrays"
    root: Path | None = None
    in_time = False

    def __init__(self, path: Path, layout: Layout, time_unit: str, classes: tuple[str, ...]) -> None:
        self._arrays, self._time_unit = ArrayFile(path, layout, time_unit, labelled=False), time_unit
        self.classes, self.sensor = classes, self._arrays.sensor

    def fingerprint(self) -> str:
        """A hash of the file's name, size and time, and of how its times are read. Raises DataError."""
        path = self._arrays.file.path
        return files_fingerprint([path], path.parent, {"time_unit": self._time_unit})

    def __len__(self) -> int:
        return self._arrays.num_samples

    def recordings(self) -> Iterator[Recording]:
        """One sample after the other. Raises DataError."""
        path, num_events = self._arrays.file.path, 0
        for number, events in enumerate(self._arrays.samples()):
            num_events += len(events.t)
            name = f"{path}/{number}"
            yield Recording(name, 0, name, False, events)
        if not num_events:
            raise self._arrays.file.error("there is not one spike in it")
