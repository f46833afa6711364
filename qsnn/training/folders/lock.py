"""A run's folder belongs to one process at a time. The lock ends with its process, however that ends."""

import contextlib
import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from qsnn.errors import RunFolderError, naming

LOCK = ".lock"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
LOOKS, PAUSE = 5, 0.02
"""How often, and after how many seconds, a lock is asked for again: `is_held` takes it for an instant."""
log = logging.getLogger(__name__)


class InUseError(RunFolderError):
    """Another process holds the folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made if need be, and removed again if nothing was written into it.

    Raises:
        InUseError: another process holds it; the message says which, on which host.
        OSError: it cannot be made or written.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    try:
        with naming(path):
            file = _acquire(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # while it is held: `_acquire` looks whether what it locked is still there
            file.close()
    finally:
        if made:
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def _acquire(path: Path) -> TextIO:
    """The lock's file, locked and signed."""
    while True:
        file = path.open("a+", encoding="utf-8")
        _lock(path, file)
        if _is_there(path, file):
            _sign(path, file)
            return file
        file.close()  # its holder has removed it between the two calls


def _lock(path: Path, file: TextIO) -> None:
    for look in range(LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if look + 1 == LOOKS:
                raise InUseError(_in_use(path, file)) from error
            time.sleep(PAUSE)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            log.warning(
                "%s: its file system has no locks; nothing keeps a second process from this folder", path.parent
            )
            return
        else:
            return


def is_held(folder: Path) -> bool:
    """Whether a process holds ``folder``. It is asked without making anything there."""
    try:
        with (folder / LOCK).open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no lock at all, or none that can be asked for
        return False
    return False


def _sign(path: Path, file: TextIO) -> None:
    """Write which process it is, on which host."""
    try:
        file.truncate(0)
        file.write(f"{os.getpid()} {socket.gethostname()}\n")
        file.flush()
    except OSError:
        path.unlink()
        raise


def _is_there(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _in_use(path: Path, file: TextIO) -> str:
    """The message to who comes second."""
    file.seek(0)
    pid, _, host = file.read().strip().partition(" ")
    file.close()
    holder = f"process {pid} on {host}" if host else "a process that has just started"
    return f"{path.parent} is in use by {holder}: wait until it has ended or stop it, or choose another folder"
