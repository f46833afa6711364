"""The files of a report: written over those of an earlier report alone, and nothing is written before all is worked out."""

import json
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
    """Write ``files``, each whole or not at all, and take away what an earlier report had beside them.

    Raises ConfigError where a file of the same name is somebody else's, and OSError.
    """
    earlier = earlier_files(folder)
    foreign = [name for name in files if name not in earlier and (folder / name).exists()]
    if foreign:
        raise ConfigError(f"{folder / foreign[0]} is not of an earlier report: move it away, or choose out=<folder>")
    folder.mkdir(parents=True, exist_ok=True)
    _mark(folder, [*earlier, *files])  # before the files: an interrupted report can be written over
    for name, content in files.items():
        _write(folder / name, content)
    for name in set(earlier) - set(files):
        (folder / name).unlink(missing_ok=True)
    for name in {*earlier, *files}:  # what a killed report has left half-written
        for path in folder.glob(f".{name}.*.tmp"):
            if time.time() - path.stat().st_mtime > LEFT_OVER:
                path.unlink(missing_ok=True)
    _mark(folder, list(files))


def _mark(folder: Path, names: list[str]) -> None:
    text = json.dumps({"made_by": MADE_BY, "files": sorted(set(names))}, indent=2) + "\n"
    _write(folder / MARKER, text.encode())


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda file: file.write(content))
