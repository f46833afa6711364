"""Files that are there whole or not at all. Imports nothing that takes time."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qsnn.errors import naming


def write_atomically(path: Path, write: Callable[[Any], Any]) -> None:
    """Call ``write(file)`` on a new file beside ``path`` and move it into place when it is on the disk.

    Whenever the process is killed or the disk fills up, ``path`` holds the old content or the new one, whole. The folder is
    made, but not the one around it: a run's folder that is gone was deleted. Raises OSError with the name of ``path``, of
    whatever the new file is called.
    """
    path.parent.mkdir(exist_ok=True)
    temporary = temporary_name(path)
    try:
        with naming(path, temporary):
            with open(temporary, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # it could not be made, or is in its place
            temporary.unlink()


def temporary_name(path: Path) -> Path:
    """Of the file that is to become ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")
