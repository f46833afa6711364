"""JSON files of a run's folder."""

import json
from pathlib import Path
from typing import Any

from qsnn.files import write_atomically


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` atomically."""
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
