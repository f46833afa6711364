"""Which packages the options of a run came from: written into its summary, and missed by name where they are not installed.

Does not import torch.
"""

import json
from pathlib import Path
from typing import Any

from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, options_of, package_of

MAX_BYTES, MAX_NAME = 2**24, 100


def packages_of(config: Config) -> dict[str, str]:
    """Package and version of each chosen option that is none of qsnn's, by ``<group>=<option>``."""
    chosen = {f"{group}={getattr(config, group).option}": type(getattr(config, group)) for group in GROUPS}
    found = {name: package_of(option) for name, option in chosen.items()}
    return {name: package for name, package in found.items() if package is not None}


def check_packages(folder: Path) -> None:
    """Raise ConfigError where the run in ``folder`` has an option of a package that is not installed here."""
    missing = {
        name: package
        for name, package in _saved(folder).items()
        if (group := name.partition("=")[0]) in GROUPS and name.partition("=")[2] not in options_of(group)
    }
    if missing:
        packages = " and ".join(dict.fromkeys(missing.values()))
        needed = f"its {' and '.join(missing)} came from the package {packages}, which is not installed here"
        raise ConfigError(f"{folder}: {needed}: pip install it")


def _saved(folder: Path) -> dict[str, str]:
    """What the run's summary says, as far as it can be shown: the file may be anybody's, or be missing."""
    path = folder / "summary.json"
    try:
        content: Any = json.loads(path.read_bytes()) if path.stat().st_size <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError):
        return {}
    found = content.get("packages") if isinstance(content, dict) else None
    entries = found.items() if isinstance(found, dict) else ()
    return {name: text for name, text in entries if _can_be_shown(name) and _can_be_shown(text)}


def _can_be_shown(text: Any) -> bool:
    return isinstance(text, str) and text.isprintable() and len(text) <= MAX_NAME
