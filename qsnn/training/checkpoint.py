"""Checkpoints: tensors and plain values, written atomically, read without running anything."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from qsnn.errors import RunFolderError

FORMAT_VERSION = 1
LAST, BEST = "last.pt", "best.pt"
# What reading a broken or foreign file can raise inside torch.load(weights_only=True).
BROKEN_FILE_ERRORS = (
    pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError, AttributeError,
    TypeError, IndexError, UnicodeDecodeError, OverflowError, MemoryError, RecursionError, ImportError,
)  # fmt: skip


def write_atomically(path: Path, write: Any) -> None:
    """Call ``write(file)`` on a new file beside ``path`` and move it into place when it is on the disk.

    Whenever the process is killed or the disk fills up, ``path`` holds the old content or the new one, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` (tensors, plain values, lists and dicts of them) atomically."""
    # Through memory: torch reports a full disk as an error of its own, a plain write as the OSError that it is.
    buffer = io.BytesIO()
    torch.save({"format_version": FORMAT_VERSION, **content}, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint. Raises RunFolderError, naming the file, if it is missing, broken, hostile or of another format."""
    if not path.is_file():
        raise RunFolderError(
            f"{path} is missing: name a run's folder, such as outputs/<experiment>/<time>, that has one"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except BROKEN_FILE_ERRORS as error:
        first_line = str(error).strip().split("\n")[0][:160]
        raise RunFolderError(f"{path} is not a readable checkpoint ({type(error).__name__}: {first_line})") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise RunFolderError(f"{path} has checkpoint format {version!r}; this version of qsnn reads {FORMAT_VERSION}")
    return content


def remove_leftovers(folder: Path) -> None:
    """Delete half-written files that a killed process left in ``folder``."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
