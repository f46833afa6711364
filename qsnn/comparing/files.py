"""The files of a report: written over those of an earlier report alone, and nothing is written before all is worked out."""

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qsnn.comparing.charts.png import png
from qsnn.comparing.comparison import Comparison
from qsnn.comparing.page import page
from qsnn.comparing.pictures import pictures_of
from qsnn.comparing.tables import columns_of, csv_text, markdown
from qsnn.errors import ConfigError
from qsnn.files import write_atomically
from qsnn.training.folders.state import SUMMARY
from qsnn.training.json_file import read_json

MARKER, MADE_BY = "report.json", "qsnn.report"
STAGED = ".report-"
LEFT_OVER = 60.0
"""Seconds after which nobody is still writing a file."""


def contents(comparison: Comparison) -> dict[str, bytes]:
    """All files by name."""
    columns, pictures = columns_of(comparison), pictures_of(comparison)
    files = {f"{picture.name}.png": png(picture.scene) for picture in pictures}
    texts = {
        "report.html": page(comparison, columns, pictures),
        "table.csv": csv_text(comparison),
        "table.md": markdown(columns) + "\n",
    }
    return {**{name: text.encode(errors="replace") for name, text in texts.items()}, **files}


def earlier_files(folder: Path) -> list[str]:
    """What a report left in ``folder``. Raises ConfigError if anything but a report is there."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"out={folder} is no folder: choose another one")
    if not folder.exists() or not any(folder.iterdir()):
        return []
    names = _names(folder)
    if names is None:
        raise ConfigError(f"out={folder} holds something that is no report of qsnn: choose another folder")
    return [name for name in names if isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name]


def _names(folder: Path) -> list[Any] | None:
    """What a report noted of its files; None where there is none."""
    marker = read_json(folder / MARKER)
    names = marker.get("files") if marker.get("made_by") == MADE_BY else None
    return names if isinstance(names, list) else None


def without_reports(folders: Sequence[Path]) -> tuple[Path, ...]:
    """``folders`` but those that are reports, as ``outputs/quick/*`` names one beside runs; all if there are no others."""
    others = [folder for folder in folders if _names(folder) is None or any(folder.rglob(SUMMARY))]
    return tuple(others or folders)


def write_report(folder: Path, files: dict[str, bytes]) -> None:
    """Write ``files``, all or, where that fails, none of them, and take away what an earlier report had beside them.

    Raises ConfigError where a file of the same name is somebody else's, and OSError, with the earlier report as it was.
    """
    earlier = earlier_files(folder)
    foreign = [name for name in files if name not in earlier and (folder / name).exists()]
    if foreign:
        raise ConfigError(f"{folder / foreign[0]} is not of an earlier report: move it away, or choose out=<folder>")
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _mark(folder, [*earlier, *files])  # before the files: an interrupted report can be written over
        _replace_all(folder, files)
    except OSError:
        _take_back(folder, earlier, is_new)
        raise
    for name in set(earlier) - set(files):
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob(f"{STAGED}*"):  # what a killed report has left
        if time.time() - path.stat().st_mtime > LEFT_OVER:
            shutil.rmtree(path, ignore_errors=True)
    _mark(folder, list(files))


def _replace_all(folder: Path, files: dict[str, bytes]) -> None:
    """All are on the same disk before the first takes its place, so that a full one leaves the earlier report."""
    with tempfile.TemporaryDirectory(prefix=STAGED, dir=folder) as staged:
        for name, content in files.items():
            _write(Path(staged) / name, content)
        for name in files:
            (Path(staged) / name).replace(folder / name)


def _take_back(folder: Path, earlier: list[str], is_new: bool) -> None:
    """Have the note name the earlier report's files again; if there was none it goes, and so does a folder that was made."""
    with contextlib.suppress(OSError):
        if earlier:
            _mark(folder, earlier)
            return
        (folder / MARKER).unlink(missing_ok=True)
        if is_new:
            folder.rmdir()


def _mark(folder: Path, names: list[str]) -> None:
    text = json.dumps({"made_by": MADE_BY, "files": sorted(set(names))}, indent=2) + "\n"
    _write(folder / MARKER, text.encode())


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda file: file.write(content))
