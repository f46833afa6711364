"""JSON files of a run's folder, and how any file of it is written."""

import json
import os
from pathlib import Path
from typing import Any

from qsnn.errors import naming


def write_atomically(path: Path, write: Any) -> None:
    """Call ``write(file)`` on a new file beside ``path`` and move it into place when it is on the disk.

    Whenever the process is killed or the disk fills up, ``path`` holds the old content or the new one, whole. The folder is
    made, but not the one around it: a run's folder that is gone was deleted. Raises OSError with the file's name.
    """
    path.parent.mkdir(exist_ok=True)
    file_beside = temporary(path)
    try:
        with naming(path), open(file_beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file_beside, path)
    finally:
        file_beside.unlink(missing_ok=True)


def temporary(path: Path) -> Path:
    """The file that is about to become ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` atomically."""
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is none, or it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
