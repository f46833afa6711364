"""Where an answer of `qsnn.cost` may be written."""

from collections.abc import Sequence
from pathlib import Path

from qsnn.errors import ConfigError
from qsnn.training.json_file import read_json

FILE = "cost.json"


def check_named(words: list[str], names: Sequence[str]) -> None:
    """Raise ConfigError for a path that is empty, as of a variable that is not set."""
    empty = next(
        (word for word in words if word.partition("=")[0] in names and not word.partition("=")[2].strip("'\"")), None
    )
    if empty is not None:
        raise ConfigError(f"{empty} names nothing: give a path, or leave it out")


def check_folder_of(name: str, path: Path) -> None:
    """Raise ConfigError unless the folder that a file is to be written into is there."""
    if not path.parent.is_dir():
        raise ConfigError(f"{name}={path}: {path.parent} is no folder: make it, or name a file in one that is there")


def check_vacant(path: Path) -> None:
    """Raise ConfigError if something else than an earlier answer lies at ``path``."""
    if path.is_dir():
        raise ConfigError(f"out={path} is a folder: name a file in it, such as {path / FILE}")
    if path.exists() and not {"energy", "memory_bits", "counts"} <= read_json(path).keys():
        raise ConfigError(f"out={path} is there already, and no answer of qsnn.cost: choose another name")
