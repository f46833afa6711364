"""What `prepare_dataset` takes: an event data set, on disk or generated, that yields its recordings one by one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from qsnn.data.recording import Recording


class EventSource(Protocol):
    """An event data set before it is prepared.

    ``name``: as in dataset=<name>, of letters, digits and _. ``classes``: names of the classes; a recording's label is an
    index into them. ``sensor``: (height, width) in pixels. ``root``: the folder of its files; None where it is generated.
    ``in_time``: recordings of one group are pieces of one long recording, in the order of time, and are split by time
    (the pieces of validation are neighbours); otherwise all recordings of a group lie on one side of every split, and
    a source whose recordings are independent gives each its own group.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def sensor(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def root(self) -> Path | None: ...  # noqa: D102
    @property
    def in_time(self) -> bool: ...  # noqa: D102

    def fingerprint(self) -> str:
        """A hash of everything that decides what `recordings` yields: source files, options, version of the reader.

        Raises:
            DataError: a file of the data set is missing.
        """
        ...

    def __len__(self) -> int:
        """How many recordings `recordings` yields, where that is known before reading; else a good guess, above 0."""
        ...

    def recordings(self) -> Iterator[Recording]:
        """Read one recording after the other, the same ones in the same order every time.

        Each recording's time starts at 0 or later; x and y lie inside the sensor, the label inside the classes.

        Raises:
            DataError: a file is missing or broken.
        """
        ...
