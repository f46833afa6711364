"""How long the checks of an event cache take: opening one of a gigabyte, and the bounds of each window.

    python scripts/time_cache_checks.py [--megabytes 1024]

Writes the cache into a temporary folder. CPU seconds of this process, so that others on the machine do not count.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from qsnn.data.events import dataset as event_dataset
from qsnn.data.events.batches import train_batches
from qsnn.data.events.dataset import EventDataset, open_dataset
from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.events.windows import WindowSettings
from qsnn.data.recording import Events, Recording

EVENTS, BYTES = 100_000, 6  # a recording's, an event's


class Random:
    """A data set of random events, 1 s a recording, like a busy camera."""

    name, classes, sensor, in_time = "random", ("a", "b"), (128, 128), False
    root = None

    def __init__(self, count: int) -> None:
        self._count = count

    def fingerprint(self) -> str:
        """By size."""
        return f"random {self._count}"

    def __len__(self) -> int:
        return self._count

    def recordings(self) -> Iterator[Recording]:
        """Alternating classes."""
        rng = np.random.default_rng(0)
        for number in range(self._count):
            t = np.sort(rng.integers(0, 10**6, EVENTS))
            x, y = (rng.integers(0, 128, EVENTS).astype(np.int16) for _ in range(2))
            events = Events(t, x, y, rng.random(EVENTS) < 0.5)
            yield Recording(f"{number}", number % 2, f"{number}", number % 5 == 0, events)


def seconds_of_epoch(dataset: EventDataset) -> float:
    """CPU seconds of 500 windows of 0.5 s."""
    settings = WindowSettings(0.001, 500, 0, 4, 0.0)
    began = time.process_time()
    for _ in train_batches(dataset, np.arange(dataset.num_recordings)[:500], settings, 50, 0, 1):
        pass
    return time.process_time() - began


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024)
    source = Random(max(1, parser.parse_args().megabytes * 2**20 // (EVENTS * BYTES)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = prepare_dataset(source, Path(temporary), progress=False).folder
        gigabytes = sum(path.stat().st_size for path in folder.iterdir()) / 2**30
        event_dataset._checksum_as_of.cache_clear()
        for when in ("first", "again"):
            began = time.process_time()
            dataset = open_dataset(folder)
            spent = time.process_time() - began
            print(f"open, {when} in a process: {spent:.3f} s of CPU time, {spent / gigabytes:.3f} s a GiB")
        checked = min(seconds_of_epoch(dataset) for _ in range(3))
        checks, EventDataset._check_inside = EventDataset._check_inside, lambda *_: None  # type: ignore[method-assign]
        unchecked = min(seconds_of_epoch(dataset) for _ in range(3))
        EventDataset._check_inside = checks  # type: ignore[method-assign]
        print(f"windows of an epoch: {checked:.3f} s with bounds checked, {unchecked:.3f} s without")


if __name__ == "__main__":
    main()
