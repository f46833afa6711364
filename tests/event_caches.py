"""Caches of recordings in a folder of the test."""

import multiprocessing
import resource
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from event_builders import ListSource, random_events

from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.recording import Recording
from qsnn.errors import DataError

Message = Callable[..., str]


def caches(folder: Path) -> list[Path]:
    """What a folder of caches holds, but for locks."""
    return sorted(path for path in folder.iterdir() if path.suffix != ".lock")


def entries(number: int = 6) -> list[Recording]:
    return [Recording(f"r{i}", i % 3, f"g{i % 2}", i > 3, random_events(i, 40 + i)) for i in range(number)]


class Slow(ListSource):
    """A source that tells when it begins and, if it shall hold, when it is half through, where it waits for good."""

    def __init__(self, hold: bool, channel: Connection) -> None:
        super().__init__([Recording(f"r{i}", i % 3, "g", False, random_events(i, 1000)) for i in range(10)])
        self._hold, self._channel = hold, channel

    def recordings(self) -> Iterator[Recording]:
        self._channel.send("begins")
        for number, recording in enumerate(super().recordings()):
            if self._hold and number == 5:
                self._channel.send("half")
                self._channel.recv()
            time.sleep(0.02)
            yield recording


def prepare_slowly(folder: Path, hold: bool, most_bytes: int | None, channel: Connection) -> None:
    """What each process of the tests below does: tell when it begins, and the fingerprint or the error at the end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts its background jobs with SIGINT ignored
    if most_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        channel.send(prepare_dataset(Slow(hold, channel), folder, progress=False).fingerprint)
    except DataError as error:
        channel.send(str(error))


def start(folder: Path, hold: bool = False, most_bytes: int | None = None) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("fork")  # quick: what is imported stays imported
    ours, theirs = context.Pipe()
    process = context.Process(target=prepare_slowly, args=(folder, hold, most_bytes, theirs))
    process.start()
    theirs.close()
    return process, ours
