"""Ctrl-C and SIGTERM: they end training between two batches with everything saved, and anything else at once in one line."""

import atexit
import ctypes
import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h: the signal that a process gets when its parent ends, however that ends
SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEAT = 1.0
"""Seconds in which a second signal belongs to the first: ``timeout`` and some schedulers send every one twice."""


class Stopped(KeyboardInterrupt):
    """A signal outside of training. ``note`` tells what became of the work."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.note = "nothing was left half-written"


class _Handlers:
    """Context manager that puts ``self.handle`` in the place of both signals' handlers.

    Outside the main thread, where Python takes no signal handlers, it changes nothing.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._since = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The first signal is noted, its repetition passed over, a later one told to `again`."""
        if not self.signal_number:
            self.signal_number, self._since = number, time.monotonic()
            self.first()
        elif time.monotonic() - self._since > REPEAT:
            self.again(number)

    def first(self) -> None:
        """What else the first signal does."""

    def again(self, number: int) -> None:
        """What a signal does that comes after the first."""

    def restore(self) -> None:
        """Put the handlers back that were there before."""
        while self._previous:
            signal.signal(*self._previous.popitem())

    def install(self) -> None:
        """Take the place of the handlers that are there."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._previous[number] = signal.signal(number, self.handle)


class Interruptible(_Handlers):
    """Context manager of a whole command: the first SIGINT or SIGTERM raises `Stopped` wherever the command is.

    Then the command ends with one line, unless it is to be ``silent``, and exit code 128 + signal. A later signal ends the
    process on the spot.
    """

    def __init__(self, silent: bool = False) -> None:
        super().__init__()
        self.silent = silent

    def first(self) -> None:
        """Unwind, so that half-written files are removed."""
        raise Stopped(self.signal_number)

    def again(self, number: int) -> None:
        """Leave at once."""
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, b"stopped at once\n")
        os._exit(128 + number)

    def raise_if_swallowed(self) -> None:
        """Raise `Stopped` once more if it was raised where Python cannot pass it on, such as in a callback from C."""
        if self.signal_number:
            self.first()

    def __enter__(self) -> "Interruptible":
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        self.install()
        return self

    def _unraisable(self, arguments: "sys.UnraisableHookArgs") -> None:
        """A `Stopped` that a callback from C swallows is raised again later: no word about it."""
        if not isinstance(arguments.exc_value, Stopped):
            self._hook(arguments)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        done = kind is None or (isinstance(value, SystemExit) and value.code in (None, 0))
        stopped = bool(self.signal_number) and not done
        if stopped:  # whatever came of it: libraries turn an interrupted import into errors of their own
            note = value.note if isinstance(value, Stopped) else "nothing was left half-written"
            if not self.silent:
                sys.stderr.write(f"stopped by {signal.Signals(self.signal_number).name}: {note}\n")
        self.restore()
        sys.unraisablehook = self._hook
        atexit.register(_ignore_signals)  # while Python shuts down nothing is left to be stopped
        if stopped:
            raise SystemExit(128 + self.signal_number) from None


def end_with_parent() -> None:
    """Be told to stop, by SIGTERM, when the process that started this one ends, be it by SIGKILL. On Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def raise_if_stopped() -> None:
    """Raise `Stopped` if the command was told to stop and something made another error of it, or nothing at all."""
    for number in SIGNALS:
        outer = getattr(signal.getsignal(number), "__self__", None)
        if isinstance(outer, Interruptible):
            outer.raise_if_swallowed()


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class StopRequest(_Handlers):
    """Context manager of training: within it, the first SIGINT or SIGTERM only sets ``signal_number``; a later one acts
    as it would outside."""

    def again(self, number: int) -> None:
        """What the signal did before."""
        self.restore()
        signal.raise_signal(number)

    def __enter__(self) -> "StopRequest":
        raise_if_stopped()
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.restore()
