"""How every command starts and ends: signals, one line for every failure, exit codes. Imports nothing that takes time.

Exit codes: 0 done; 1 a sweep with failed runs; 2 bad input, or the system refused; 128 + signal, stopped before the end.
"""

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from qsnn.errors import QsnnError
from qsnn.training.interrupt import Interruptible

EXIT_BAD_INPUT = 2


def run_command(work: Callable[[list[str]], None]) -> None:
    """Call ``work`` with the command line's words. It imports Hydra and torch itself, so that a signal finds handlers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows ASCII only
    with Interruptible():
        try:
            work(sys.argv[1:])
        except BrokenPipeError:
            _leave_quietly()
        except (QsnnError, OSError) as error:
            fail(error)


def _leave_quietly() -> NoReturn:
    """Whoever read the output has had enough: end as a program that SIGPIPE ends, which Python ignores."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still writes when it shuts down
    sys.exit(128 + signal.SIGPIPE)


def fail(error: QsnnError | OSError, code: int = EXIT_BAD_INPUT) -> NoReturn:
    """Print one line and leave."""
    sys.stderr.write(f"error: {describe(error)}\n")
    sys.exit(code)


def describe(error: QsnnError | OSError) -> str:
    """One line; for a failure of the operating system (a full disk, no permission), with the file it is about."""
    if isinstance(error, OSError):
        return f"cannot use {error.filename or 'a file of the run'}: {error.strerror or error}; nothing was left half-written"
    return " ".join(str(error).split("\n"))
