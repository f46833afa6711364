"""Recordings in folders that are named by class: which files there are, of which class, kind and part."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from qsnn.data.formats.any_events import SUFFIXES, first_bytes, kind_of, told_sensor
from qsnn.data.sources.files import check_root
from qsnn.errors import DataError

log = logging.getLogger(__name__)

ADVICE = (
    "put the recordings into folders named by class, <class>/<any name>, or Train/<class>/... and Test/<class>/..., and give "
    "the folder that holds them as dataset.root=..."
)
_NOT_OURS = ("__MACOSX",)  # what unpacking leaves beside hidden files


Found = tuple[Path, str, tuple[int, int] | None]


class FoundFile(NamedTuple):
    """A recording: ``kind`` as in `any_events.KINDS`, ``told``: the (height, width) that its header tells, or None,
    ``label``: index of its class, ``is_test``: lies below ``Test``; None where there are no such folders."""

    path: Path
    kind: str
    told: tuple[int, int] | None
    label: int
    is_test: bool | None


class Layout(NamedTuple):
    """What lies below ``root``: names of the classes, in natural order, and the files, training first, by class and name."""

    classes: tuple[str, ...]
    files: tuple[FoundFile, ...]

    @property
    def has_parts(self) -> bool:
        """Whether the folders tell what is for testing."""
        return self.files[0].is_test is not None


def find_files(root: Path, wanted: str) -> Layout:
    """Find all recordings of the kind ``wanted``, or of any (auto). What else lies in the folders is skipped, and told once.

    Raises:
        DataError: no folders, a class without recordings, fewer than two classes, a class that is only in ``Test``.
    """
    check_root(root, ADVICE)
    found: list[tuple[bool | None, str, list[Found]]] = []
    skipped: Counter[str] = Counter()
    for is_test, top in _parts(root):
        skipped.update(_ending(path) for path in _visible(top) if path.is_file())
        for folder in _class_folders(top):
            found.append((is_test, folder.name, _recordings(folder, wanted, skipped)))
    classes = tuple(sorted({name for _, name, _ in found}, key=_natural))
    _check_classes(root, classes, {name for is_test, name, _ in found if is_test}, {n for t, n, _ in found if not t})
    if skipped:
        kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(skipped.items()))
        why = "are no recordings in a class's folder" if wanted == "auto" else f"are not of dataset.format={wanted}"
        log.warning("%s: %d files %s and were skipped: %s", root, sum(skipped.values()), why, kinds)
    return Layout(
        classes,
        tuple(
            FoundFile(path, kind, told, classes.index(name), is_test)
            for is_test, name, files in sorted(found, key=lambda entry: (bool(entry[0]), _natural(entry[1])))
            for path, kind, told in files
        ),
    )


def _parts(root: Path) -> list[tuple[bool | None, Path]]:
    """``Train`` and ``Test`` if both are there, else the folder itself. Raises DataError where it is not clear."""
    folders = _class_folders(root)
    parts = {path.name.lower(): path for path in folders if path.name.lower() in ("train", "test")}
    others = [path.name for path in folders if path not in parts.values()]
    if len(parts) == 2:
        if others:
            raise DataError(
                f"{root} holds {', '.join(others[:4])} beside {parts['train'].name} and {parts['test'].name}: it is either "
                "these two or folders named by class; move the others away"
            )
        return [(False, parts["train"]), (True, parts["test"])]
    if parts and not others:
        only = next(iter(parts.values())).name
        raise DataError(f"{root} holds {only}, but not the other of Train and Test; {ADVICE}")
    return [(None, root)]


def _class_folders(top: Path) -> list[Path]:
    folders = [path for path in _visible(top) if path.is_dir()]
    return sorted(folders, key=lambda path: _natural(path.name))


def _visible(folder: Path) -> list[Path]:
    """What lies in a folder, without hidden files. Raises DataError if the folder cannot be read."""
    try:
        return [path for path in folder.iterdir() if path.name[0] != "." and path.name not in _NOT_OURS]
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); check its permissions") from error


def _recordings(folder: Path, wanted: str, skipped: Counter[str]) -> list[Found]:
    """The recordings of a class in the order of their names: path, kind and told sensor. Raises DataError for none."""
    files = sorted(files_below(folder))
    own = []
    for path in files:
        start = first_bytes(path)
        kind = kind_of(path, start)
        if kind is None or wanted not in ("auto", kind):
            skipped[_ending(path)] += 1
        else:
            own.append((path, kind, told_sensor(kind, start)))
    if not own:
        endings = ", ".join(sorted({_ending(path) for path in files})[:4])
        there = f"only {len(files)} files of other kinds ({endings})" if files else "nothing"
        readable = f"{', '.join(SUFFIXES)} and what begins with #!AER-DAT" if wanted == "auto" else f"{wanted} files"
        raise DataError(
            f"{folder}, a class's folder, holds {there}; read are {readable}: put recordings there or remove it"
        )
    return own


def files_below(folder: Path) -> Iterator[Path]:
    """All visible files below a folder. Links to folders are not followed: they could lead around for ever."""
    folders = [folder]
    while folders:
        for path in _visible(folders.pop()):
            if path.is_file():
                yield path
            elif path.is_dir() and not path.is_symlink():
                folders.append(path)


def _check_classes(root: Path, classes: tuple[str, ...], in_test: set[str], in_train: set[str]) -> None:
    strange = next((name for name in classes if not name.isprintable()), None)
    if strange is not None:
        raise DataError(f"{root}: the folder {strange!a} has a name that cannot be shown: give it another")
    if len(classes) < 2:
        found = f"one folder, {classes[0]}" if classes else "no folders"
        raise DataError(f"{root} holds {found}, expected two classes or more; {ADVICE}")
    untrained = sorted(in_test - in_train, key=_natural)
    if untrained:
        raise DataError(
            f"{root}: {', '.join(untrained[:4])} is in Test but not in Train: a class is learned from Train"
        )


def _ending(path: Path) -> str:
    return ascii(path.suffix.lower())[1:-1] if path.suffix else "without a suffix"


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts 2 before 10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)] + [
        (2, 0, name)
    ]
