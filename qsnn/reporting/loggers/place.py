"""loggers.json: as which run a folder is known to loggers elsewhere, so that a resumed run goes on in the same one."""

import json
import re
from pathlib import Path
from typing import Any

from qsnn.files import write_atomically

FILE, NAME = "loggers.json", re.compile(r"[\w-]{1,64}")


def read_id(folder: Path, logger: str) -> str | None:
    """None if it is not known there; the file may hold anything."""
    found = _read(folder).get(logger)
    return found if isinstance(found, str) and NAME.fullmatch(found) else None


def write_id(folder: Path, logger: str, identity: str) -> None:
    """Note it beside those of other loggers. Raises OSError."""
    content = json.dumps({**_read(folder), logger: identity}, indent=2) + "\n"
    write_atomically(folder / FILE, lambda file: file.write(content.encode()))


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / FILE).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
