"""The errors that a user can cause. Each message is one line: what is wrong, where, what is allowed, what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class QsnnError(Exception):
    """Base of every error that the command line prints as one line, without a traceback."""


class ConfigError(QsnnError):
    """A setting is out of range, or two settings contradict each other. Several of these are so many arguments."""

    def __str__(self) -> str:
        if len(self.args) < 2:
            return super().__str__()
        numbered = (f"({number}) {problem}" for number, problem in enumerate(self.args, 1))
        return f"{len(self.args)} things are wrong: {'; '.join(numbered)}"


class DataError(QsnnError):
    """A data file is missing, broken, of the wrong shape, or refused."""


class RunFolderError(QsnnError):
    """A run's folder or checkpoint is missing, broken, or belongs to another run."""


class NonFiniteError(QsnnError):
    """A tensor holds NaN or Inf; the message names the tensor and the epoch."""


class WorkerError(QsnnError):
    """Another process of the run has gone. ``first``: whether no other has noticed before, so that it is told once."""

    def __init__(self, message: str, first: bool = True) -> None:
        super().__init__(message)
        self.first = first


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Give an OSError that says nothing of a file, as writing to an open one raises on a full disk, the name of ``path``; so
    too one of the file ``temporary``, which nobody has asked for."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(temporary)) or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
