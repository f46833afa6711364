"""Where else config files may lie than in conf/: a folder that ``--config-dir`` names, and those of ``hydra.searchpath``.

Hydra finds them by itself when it runs a job; to try a config before, and to say what can be chosen, they are noted here.
"""

import importlib.util
import re
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qsnn.config.paths import config_folder
from qsnn.errors import ConfigError

FLAGS = ("--config-dir", "-cd")
_KEY = "hydra.searchpath="
_more: list[Path] = []


def note_search_path(words: list[str]) -> list[str]:
    """Remember the folders that the words of a command line name; the words without ``--config-dir``.

    Raises ConfigError for one that is not there.
    """
    rest, named = [], []
    for word in (entries := iter(words)):
        flag, separator, value = word.partition("=")
        if flag in FLAGS:
            named.append(value if separator else next(entries, ""))
        else:
            rest.append(word)
            named += _searchpath(word) if word.startswith(_KEY) else []
    folders = [_folder_of(text) for text in named]
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder of config files; relative paths start at {Path.cwd()}")
    _more[:] = [folder.resolve() for folder in folders]
    return rest


def _folder_of(text: str) -> Path:
    """The folder of ``[file://]path`` or, of an installed package, ``pkg://package.folder``. Raises ConfigError."""
    if not text.startswith("pkg://"):
        return Path(re.sub("^file://", "", text)).expanduser()
    name = text.removeprefix("pkg://").strip("/").replace("/", ".")
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        found = None
    places = list(found.submodule_search_locations or ()) if found else []
    if not places:
        raise ConfigError(f"{text} names no package that is installed")
    return Path(places[0])


def _searchpath(word: str) -> list[str]:
    try:
        found = OmegaConf.to_container(OmegaConf.create({"path": None, **OmegaConf.from_dotlist([word])}))
    except OmegaConfBaseException:
        return []  # Hydra's own parser says what is wrong
    path = found.get("hydra", {}).get("searchpath") if isinstance(found, dict) else None
    return [str(entry) for entry in path] if isinstance(path, list) else []


def config_folders() -> list[Path]:
    """All of them, conf/ first."""
    return [Path(config_folder()), *_more]


def search_path_override() -> list[str]:
    """What makes Hydra look there too."""
    listed = ",".join(f"'file://{folder}'" for folder in _more)
    return [f"{_KEY}[{listed}]"] if _more else []
