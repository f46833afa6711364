"""Whether a search's folder is that of the search that is asked for: search.json says what it was begun as."""

from pathlib import Path
from typing import Any

from qsnn.config.building.common import flatten, plain_config
from qsnn.config.resume import FREE_KEYS
from qsnn.config.schema import Config, Search
from qsnn.errors import ConfigError, RunFolderError
from qsnn.training.folders.state import SUMMARY
from qsnn.training.json_file import read_json, write_json

FILE, IDENTITY = "search.json", "search"
FREE = ("name", "trials", "batch")
"""What may differ between two starts: how many, and how much at once."""
EPOCHS = "trainer.epochs"
"""A run may go on for longer; a search would compare runs of different lengths."""


def identity_of(config: Config) -> dict[str, Any]:
    """What makes it this search: its keys, and those of its runs that matter."""
    search: Search = config.search
    own = {f"search.{name}": value for name, value in vars(search).items() if name not in FREE}
    flat = flatten(plain_config(config))
    kept = {key: value for key, value in flat.items() if key == EPOCHS or not key.startswith(FREE_KEYS)}
    return {**kept, **own}


def begin_or_go_on(folder: Path, config: Config) -> None:
    """Note what is searched in a new folder, or compare it with what was. Raises ConfigError, RunFolderError, OSError."""
    path, now = folder / FILE, identity_of(config)
    if not path.exists():
        write_json(path, {IDENTITY: now})
        return
    before = read_json(path).get(IDENTITY)
    if not isinstance(before, dict):
        raise RunFolderError(f"{path} is damaged: choose another search.name, or delete the folder")
    if EPOCHS in now and EPOCHS not in before:  # of an older version, which its runs tell
        before = {**before, EPOCHS: _epochs_of_runs(folder, now[EPOCHS])}
    different = [key for key in sorted(now.keys() | before.keys()) if now.get(key) != before.get(key)]
    if different:
        listed = "; ".join(f"{key} was {_shown(before, key)}, is {_shown(now, key)}" for key in different)
        raise ConfigError(f"{folder} holds another search: {listed}. Give a search.name of its own, or undo it")


def _epochs_of_runs(folder: Path, default: Any) -> Any:
    """What the first run of a search that tells it was to train for."""
    for path in sorted(folder.glob(f"*/**/{SUMMARY}")):
        config = read_json(path).get("config")
        if isinstance(config, dict) and EPOCHS in (flat := flatten(config)):
            return flat[EPOCHS]
    return default


def _shown(values: dict[str, Any], key: str) -> str:
    return ascii(str(values.get(key, "absent")))[1:-1][:120]
