"""The fields of the config's dataclasses."""

from dataclasses import field
from typing import Any


def key(default: Any, meaning: str, unit: str = "", original: str = "") -> Any:
    """A dataclass field that documents itself. ``original``: the argument or constant of the original program."""
    metadata = {"meaning": meaning, "unit": unit, "original": original}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
