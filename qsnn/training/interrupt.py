"""Ctrl-C and SIGTERM end a run between two epochs, with everything saved."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Context manager: within it, the first SIGINT or SIGTERM sets ``signal_number``; a second one acts as usual.

    Outside the main thread, where Python takes no signal handlers, it changes nothing.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._previous: dict[signal.Signals, Any] = {}

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.signal_number = number
        self._restore()

    def _restore(self) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()
