"""A run's training time, over all its sessions, and apart from it the time that its kernels took to be compiled."""

import time
from typing import Protocol

from qsnn.kernels.compile_time import compile_seconds


class Timed(Protocol):
    """``seconds``: in training; ``seconds_start``: compiling kernels or loading them from disk, which is not in it."""

    seconds: float
    seconds_start: float


class Clock:
    """Goes on from the figures of ``state``."""

    def __init__(self, state: Timed) -> None:
        self._began, self._compiled = time.perf_counter(), compile_seconds()
        self._before = state.seconds, state.seconds_start

    def read(self, state: Timed) -> float:
        """Write both figures into ``state``; the seconds that this session has spent on kernels."""
        compiled = compile_seconds() - self._compiled
        trained, started = self._before
        state.seconds = trained + time.perf_counter() - self._began - compiled
        state.seconds_start = started + compiled
        return compiled
