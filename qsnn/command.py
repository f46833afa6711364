"""How every command starts and ends: signals, one line for every failure, exit codes. Imports nothing that takes time.

Exit codes: 0 done; 1 a sweep with failed runs; 2 bad input, or the system refused; 128 + signal, stopped before the end.
"""

import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from qsnn.errors import ConfigError, QsnnError, WorkerError
from qsnn.processes import place
from qsnn.training.interrupt import SIGNALS, Interruptible

EXIT_FAILED_RUNS, EXIT_BAD_INPUT = 1, 2
STOPPED = tuple(128 + number for number in SIGNALS)
ADVICE = {
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG): "free some space, or choose another folder",
    (errno.EACCES, errno.EPERM, errno.EROFS): "allow to write there, or choose another folder",
    (
        errno.EEXIST,
        errno.ENOTDIR,
        errno.EISDIR,
    ): "a file is where a folder should be, or a folder where a file should be",
    (errno.ENOENT,): "it is not there, or was deleted meanwhile",
    (errno.ENAMETOOLONG,): "choose a shorter name",
}
"""What to do about the commonest failures of the operating system."""


def run_command(work: Callable[[list[str]], None], shareable: bool = False) -> None:
    """Call ``work`` with the command line's words. It imports Hydra and torch itself, so that a signal finds handlers.

    ``shareable``: torchrun may start several processes of it; the first one tells what all of them would.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows ASCII only
    with Interruptible(silent=place().follows):
        try:
            if place().shares and not shareable:
                raise ConfigError("this is no work for several processes: start it without torchrun")
            work(sys.argv[1:])
            sys.stdout.flush()  # here, where a reader that has gone is no traceback
        except BrokenPipeError:
            _leave_quietly()
        except (QsnnError, OSError) as error:
            fail(error)
        except MemoryError:
            fail(OSError(errno.ENOMEM, "there is not enough memory"))


def run_and_leave(work: Callable[[list[str]], None], shareable: bool = False) -> None:
    """`run_command` as the last deed of a program. After a signal Python takes nothing apart any more: what was interrupted,
    such as a compiler, may be half-built, and taking that apart has crashed."""
    try:
        run_command(work, shareable)
    except SystemExit as end:
        if end.code not in STOPPED:
            raise
        with contextlib.suppress(OSError):  # whoever read the output may have gone
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(int(end.code))


def wants_usage(arguments: list[str], usage: str, of_a_run: bool = False) -> bool:
    """Whether help is asked for, which is printed then. ``of_a_run``: without ``run=`` it is an error."""
    if "-h" in arguments or "--help" in arguments:
        sys.stdout.write(f"{usage}\n")
        return True
    if of_a_run and not any(text.startswith("run=") for text in arguments):
        sys.stderr.write(f"error: no run given\n\n{usage}")
        sys.exit(EXIT_BAD_INPUT)
    return False


def _leave_quietly() -> NoReturn:
    """Whoever read the output has had enough: end as a program that SIGPIPE ends, which Python ignores."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python still writes when it shuts down
    sys.exit(128 + signal.SIGPIPE)


def fail(error: QsnnError | OSError, code: int = EXIT_BAD_INPUT) -> NoReturn:
    """Print one line, or one for each thing that is wrong with a config, and leave. Of processes that share a run one does."""
    shared = place().follows and isinstance(error, QsnnError)  # by all of them
    if not error.first if isinstance(error, WorkerError) else shared:
        sys.exit(code)
    if isinstance(error, ConfigError) and len(error.args) > 1:
        sys.stderr.writelines([f"error: {len(error.args)} things are wrong\n", *(f"  {text}\n" for text in error.args)])
    else:
        sys.stderr.write(f"error: {describe(error)}\n")
    sys.exit(code)


def describe(error: QsnnError | OSError) -> str:
    """One line; for a failure of the operating system (a full disk, no permission), with the file it is about."""
    if isinstance(error, OSError):
        advice = next((f"; {text}" for numbers, text in ADVICE.items() if error.errno in numbers), "")
        file = error.filename or "a file of the run"
        return f"cannot use {file}: {error.strerror or error}{advice}; nothing was left half-written"
    return " ".join(str(error).split("\n"))
