"""The journal of a search: a file of JSON lines that all its processes append to, and that may have come from anybody.

Nothing in it is code: optuna's file backend reads it by `json` (its snapshots, which are pickles, belong to another backend).
"""

import contextlib
import fcntl
import json
import logging
from collections.abc import Iterator
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from qsnn.errors import RunFolderError
from qsnn.training.folders.lock import NO_LOCKS

TURN, NO_FILE = ".turn", "it is no regular file"
MAX_BYTES, NUM_OPERATIONS = 2**28, 16
MALFORMED = (KeyError, ValueError, TypeError, AttributeError, IndexError, AssertionError, RecursionError)
"""What reading a journal raises whose lines are not those of a search."""
log = logging.getLogger(__name__)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process of the search in ``folder`` is choosing or writing, and keep others from it meanwhile.
    Raises RunFolderError and OSError."""
    path = folder / TURN
    if path.exists() and not path.is_file():
        raise unreadable(path, NO_FILE)
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.warning("%s: its file system has no locks; run one search at a time there", folder)
        yield


def open_journal(path: Path) -> JournalStorage:
    """The storage in ``path``; what a killed process has written of its last line is cut off.

    Raises RunFolderError, naming the line, if it is no journal.
    """
    lock = JournalFileSymlinkLock(str(path))
    check_journal(path)
    try:
        return JournalStorage(JournalFileBackend(str(path), lock))
    except MALFORMED as error:
        raise unreadable(path) from error


def unreadable(path: Path, why: str = "its lines do not fit together") -> RunFolderError:
    """The error of a journal, or of the file by which processes take turns at it, that is none or is damaged."""
    return RunFolderError(f"{path} is not the journal of a search ({why}): choose another search.name, or delete it")


def check_journal(path: Path) -> None:
    """Raise RunFolderError for something that is no file, and for the first line that is no operation."""
    if not path.exists():
        return
    if not path.is_file():
        raise unreadable(path, NO_FILE)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise unreadable(path, f"{size:,} bytes, of {MAX_BYTES:,} at most")
    whole = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            if not _is_operation(line):
                raise unreadable(path, f"line {number} is broken")
            whole += len(line)
    if whole < size:
        log.warning("%s: its last line is cut off, as a killed process leaves it; that line is dropped", path)
        with path.open("rb+") as file:
            file.truncate(whole)


def _is_operation(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return (
        isinstance(found, dict)
        and type(found.get("op_code")) is int
        and 0 <= found["op_code"] < NUM_OPERATIONS
        and isinstance(found.get("worker_id"), str)
    )
