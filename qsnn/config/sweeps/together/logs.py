"""Log lines of jobs that are trained as one: each job's go to its own file, and to the console with its name."""

import contextlib
import logging
from collections.abc import Iterator, Sequence

from hydra.core.utils import configure_log
from tqdm import tqdm

from qsnn.config.sweeps.together.jobs import SEED, SweepJob


class _BesideBar(logging.StreamHandler):
    """A console that a progress bar may be drawn on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line above the bar, if there is one."""
        tqdm.write(self.format(record), file=self.stream)


class Turns:
    """Whose lines are being logged: ``turn(number)``; ``turn(None)``: of all."""

    def __init__(self, jobs: Sequence[SweepJob]) -> None:
        self._root = logging.getLogger()
        handlers = [self._handlers(job) for job in jobs]
        self._by_job = [
            [_named(handler, _name(job)) for handler in own] for job, own in zip(jobs, handlers, strict=True)
        ]
        consoles = [_named(handler, "") for handler in handlers[0] if _is_console(handler)]
        self._all = [*consoles, *(handler for own in handlers for handler in own if not _is_console(handler))]
        self.turn(None)

    def _handlers(self, job: SweepJob) -> list[logging.Handler]:
        """Those that Hydra makes for the job. Making the next ones closes them; a file is opened again by its next line."""
        configure_log(job.cfg.hydra.job_logging, job.cfg.hydra.verbose)
        return list(self._root.handlers)

    def turn(self, number: int | None) -> None:
        """From now on it is the turn of job ``number``."""
        self._root.handlers = self._all if number is None else self._by_job[number]

    def close(self) -> None:
        """End all files."""
        for handler in self._all:
            handler.close()


def _name(job: SweepJob) -> str:
    return f"[{SEED} {job.cfg.seed}] "


def _is_console(handler: logging.Handler) -> bool:
    return isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler)


def _named(handler: logging.Handler, name: str) -> logging.Handler:
    """The handler itself or, of a console, one that begins every line with ``name``."""
    if not _is_console(handler):
        return handler
    assert isinstance(handler, logging.StreamHandler)
    named, given = _BesideBar(handler.stream), handler.formatter
    pattern = (given._fmt if given else None) or "%(message)s"
    named.setFormatter(logging.Formatter(name + pattern))
    named.setLevel(handler.level)
    return named


@contextlib.contextmanager
def turns_of(jobs: Sequence[SweepJob]) -> Iterator[Turns]:
    """Within, what is logged is a job's or that of all."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    turns = Turns(jobs)
    try:
        yield turns
    finally:
        turns.close()
        root.handlers = before
        root.setLevel(level)
