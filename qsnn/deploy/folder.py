"""The folder of an export: made at once, and written over only if it holds nothing but what an export wrote there.

Which files those are its *mark* says: `SUMS` of an artefact, and of the other formats a text that ends with their names.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from qsnn.errors import ConfigError, naming

FORMAT = "qsnn artefact"
MODEL, SUMS = "model.json", "SHA256SUMS"
WRITTEN = "written by qsnn.export, and what overwrite=true replaces:"
"""The line of a mark before the names of files."""
MAX_MARK = 2**26
"""Bytes of a mark, and of `MODEL`, that are read."""
SUM = re.compile(r"[0-9a-f]{64}  ([^/\\.][^/\\]*)")


def write_folder(files: dict[str, bytes], folder: Path, overwrite: bool, mark: str) -> None:
    """Make ``folder`` with ``files``, at once. A folder that is there must be an export with the file ``mark`` to be replaced.

    Raises ConfigError and OSError; nothing is left half-written.
    """
    check_vacant(folder, overwrite, mark)
    place = _place(folder)
    temporary, old = (place.with_name(f".{place.name}.{os.getpid()}.{kind}") for kind in ("tmp", "old"))
    try:
        with naming(folder):
            temporary.mkdir()
            for name, content in _listed(files, mark).items():
                with open(temporary / name, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            if place.exists():
                os.rename(place, old)
            os.rename(temporary, place)
    finally:
        _clear(place, temporary, old)


def _clear(place: Path, temporary: Path, old: Path) -> None:
    shutil.rmtree(temporary, ignore_errors=True)
    if place.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    elif old.is_dir() and not place.is_symlink():  # stopped between the two renames: the old one is put back
        os.rename(old, place)


def check_vacant(folder: Path, overwrite: bool, mark: str) -> None:
    """Raise ConfigError if ``folder`` cannot be made, or would be written over. What killed exports left beside it is put
    back or removed."""
    place = _place(folder)
    if not place.parent.is_dir():
        raise ConfigError(f"out={folder} lies in no folder that is there")
    _recover(place)
    if not place.exists() and not place.is_symlink():
        return
    if not overwrite:
        raise ConfigError(f"out={folder} is there already: choose another folder, or overwrite=true")
    names = None if place.is_symlink() or not place.is_dir() else _names(place, mark)
    if names is None:
        raise ConfigError(f"out={folder} is there and holds no export: it is not written over, choose another folder")
    for path in sorted(place.iterdir()):
        if path.name not in names or path.is_symlink() or not path.is_file():
            raise ConfigError(
                f"out={folder} holds {path.name!a}, which the export did not write: move it, or choose another out="
            )


def _place(folder: Path) -> Path:
    """With a name and a parent, whatever ``folder`` was typed as; a link at its end is kept."""
    return folder.resolve() if folder.name in ("", "..") else folder.parent.resolve() / folder.name


def _listed(files: dict[str, bytes], mark: str) -> dict[str, bytes]:
    """With the names of all files in the mark."""
    if mark == SUMS:
        return files
    return {**files, mark: files[mark] + "\n".join(["", WRITTEN, *sorted(files), ""]).encode()}


def _names(folder: Path, mark: str) -> set[str] | None:
    """Of the files that an export wrote, None where its mark does not say so."""
    text = _text(folder / mark)
    if mark != SUMS:
        lines = text.rpartition(f"\n{WRITTEN}\n")[2].splitlines() if f"\n{WRITTEN}\n" in text else []
        return set(lines) if mark in lines else None
    found = [SUM.fullmatch(line) for line in text.splitlines()]
    names = {one[1] for one in found if one}
    return {*names, SUMS} if MODEL in names and all(found) and _is_model(_text(folder / MODEL)) else None


def _text(path: Path) -> str:
    """Of a regular file, no text where there is none."""
    try:
        readable = not path.is_symlink() and path.is_file() and path.stat().st_size <= MAX_MARK
        return path.read_bytes().decode("utf-8", "replace") if readable else ""
    except OSError:
        return ""


def _is_model(text: str) -> bool:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def _recover(place: Path) -> None:
    """Finish what killed exports to ``place`` left: without a folder the old one is put back, the rest is removed."""
    for old, temporary in _leftovers(place):
        _clear(place, temporary, old)


def _leftovers(place: Path) -> Iterable[tuple[Path, Path]]:
    left = re.compile(rf"\.{re.escape(place.name)}\.([1-9][0-9]{{0,9}})\.(?:tmp|old)")
    found = {int(match[1]) for path in place.parent.iterdir() if (match := left.fullmatch(path.name))}
    for process in sorted(found):
        if not _runs(process):
            yield place.with_name(f".{place.name}.{process}.old"), place.with_name(f".{place.name}.{process}.tmp")


def _runs(process: int) -> bool:
    """Whether another process of this number is there."""
    if process == os.getpid():  # of a machine or container before
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
