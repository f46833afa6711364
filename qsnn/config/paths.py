"""Where the config files are, how runs' folders are named, and what an older run's folder says it was started with."""

import datetime
import hashlib
import re
import secrets
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

import qsnn
from qsnn.errors import RunFolderError

MAX_FOLDER_NAME = 180  # below the 255 bytes of common file systems, with room for the suffixes of temporary files


def config_folder() -> str:
    """Absolute path of conf/: the installed copy, or the one at the top of the source tree."""
    package = Path(qsnn.__file__).resolve().parent
    installed = package / "conf"
    return str(installed if installed.is_dir() else package.parent / "conf")


def timestamp() -> str:
    """A folder name that sorts by time and that no other process chooses, not even in the same microsecond."""
    return f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(3)}"


def folder_name(overrides: str) -> str:
    """``overrides`` as one folder name: no slashes or odd characters; cut and given a hash when it is too long."""
    name = re.sub(r"[^\w.,=+@:-]+", "_", overrides).strip("_") or "defaults"
    if len(name) > MAX_FOLDER_NAME:
        name = f"{name[:MAX_FOLDER_NAME]}-{hashlib.blake2b(overrides.encode(), digest_size=4).hexdigest()}"
    return name


def register_resolvers() -> None:
    """Make ``${qsnn.timestamp:}`` and ``${qsnn.folder_name:...}`` known to OmegaConf."""
    OmegaConf.register_new_resolver("qsnn.timestamp", timestamp, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("qsnn.folder_name", folder_name, replace=True)


def saved_overrides(folder: Path) -> list[str]:
    """The overrides that ``folder``'s run was started with. Raises RunFolderError."""
    path = folder / ".hydra" / "overrides.yaml"
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a folder; name a run's, such as outputs/<experiment>/<time>")
    if not path.is_file():
        raise RunFolderError(f"{folder} is not the folder of a run: it has no .hydra/overrides.yaml")
    try:
        content = OmegaConf.to_container(OmegaConf.load(path))
    except (OmegaConfBaseException, YAMLError, OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path} is not readable: {str(error).splitlines()[0]}") from error
    if not isinstance(content, list) or not all(isinstance(entry, str) for entry in content):
        raise RunFolderError(f"{path} is not a list of overrides")
    return [str(entry) for entry in content]
