"""JSON files of a run's folder, and how any file of it is written."""

import json
from pathlib import Path
from typing import Any

from qsnn.files import write_atomically


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` atomically."""
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is none, or it is damaged."""
    if not path.is_file():  # to open a named pipe is to wait for who writes into it
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
