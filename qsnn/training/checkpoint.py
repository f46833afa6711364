"""Checkpoints: tensors and plain values, written atomically, read only if no byte has changed, and without running anything."""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from qsnn.data.formats.guard import BROKEN_FILE_ERRORS
from qsnn.errors import RunFolderError
from qsnn.files import temporary_name, write_atomically
from qsnn.training.checkpoint_file import (
    Archive,
    is_plain_torch,
    is_sealed,
    open_archive,
    read_tensors,
    seal,
    to_storable,
)

FORMAT_VERSION = 3
"""2 was that of qsnn 0.1: a net's config, state and streams had other names."""
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"


class UnreadableCheckpoint(RunFolderError):  # noqa: N818  # a kind of file, whose message is the error's
    """A checkpoint is missing, damaged, or of another format."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` (tensors, plain values, lists and dicts of them) atomically."""
    # Through memory: torch reports a full disk as an error of its own, a plain write as the OSError that it is.
    buffer = io.BytesIO()
    torch.save(to_storable({"format_version": FORMAT_VERSION, **content}), buffer)
    sealed = seal(buffer.getvalue())
    write_atomically(path, lambda file: file.write(sealed))


def save_last(folder: Path, content: dict[str, Any]) -> None:
    """Write last.pt; what it was before becomes previous.pt.

    Whenever the process is killed, both are whole: last.pt is the old or the new one, and previous.pt one before it.
    """
    last = folder / LAST
    with _second_name(last, folder / PREVIOUS) as keep:
        save_checkpoint(last, content)
        keep()


def go_back_to(path: Path) -> None:
    """Make ``path`` (previous.pt) the run's last.pt too, so that the next checkpoint does not keep a damaged one."""
    with _second_name(path, path.with_name(LAST)) as keep:
        keep()


@contextlib.contextmanager
def _second_name(path: Path, wanted: Path) -> Iterator[Callable[[], None]]:
    """Hold on to the file that is now at ``path``; the function that is given puts it at ``wanted``, at once and whole."""
    second = temporary_name(wanted)
    second.unlink(missing_ok=True)
    try:
        if path.exists():
            try:
                os.link(path, second)
            except OSError:  # file systems without a second name for a file
                shutil.copyfile(path, second)
        yield lambda: os.replace(second, wanted) if second.exists() else None
    finally:
        second.unlink(missing_ok=True)


def describe_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, a `StoredTensor` for each tensor; see `load_checkpoint` for what is raised."""
    with _opened(path) as archive:
        return archive.content


def load_checkpoint(path: Path, check: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """Read a checkpoint.

    ``check`` is given the description (`describe_checkpoint`) before room is made for any tensor, and raises if it does not
    fit. Raises UnreadableCheckpoint, naming the file, if it is missing, changed by a single byte, hostile, or of another
    format.
    """
    with _opened(path) as archive:
        if check is not None:
            check(archive.content)
        return read_tensors(archive, archive.content)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Archive]:
    if not path.is_file():
        raise UnreadableCheckpoint(
            f"{path} is missing: name a run's folder, such as outputs/<experiment>/<time>, that has one"
        )
    with open(path, "rb") as file:
        if not is_sealed(file):
            raise UnreadableCheckpoint(f"{path} {_why_not_sealed(is_plain_torch(file))}")
        try:
            archive = open_archive(file)
        except BROKEN_FILE_ERRORS as error:
            first_line = ascii(str(error).strip().split("\n")[0][:160])[1:-1]
            raise UnreadableCheckpoint(f"{path} is not a checkpoint ({type(error).__name__}: {first_line})") from error
        _check_version(path, archive.content)
        yield archive


def _why_not_sealed(plain: bool) -> str:
    if not plain:
        return "is damaged or cut short: its checksum is not that of its bytes"
    return (
        "has no checksum: it is of checkpoint format 1, from before version 0.1.0 of qsnn, or no checkpoint at all; this "
        f"version reads format {FORMAT_VERSION}: start a new run"
    )


def _check_version(path: Path, content: Any) -> None:
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        shown = f"{ascii(version)[:40]}{', that of qsnn 0.1' if version == 2 else ''}"
        advice = "start a new run, or go on with the version that wrote it"
        raise UnreadableCheckpoint(
            f"{path} has checkpoint format {shown}; this version of qsnn reads {FORMAT_VERSION}: {advice}"
        )


def remove_leftovers(folder: Path) -> None:
    """Delete half-written files that a killed process left in ``folder``."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
