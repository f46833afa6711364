"""Where the config files are, and how runs' folders and checkpoints are named."""

import datetime
import hashlib
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

import qsnn

AUTO = "auto"  # what resume= takes beside a folder
MAX_FOLDER_NAME = 180  # bytes: below the 255 of common file systems, with room for the suffixes of temporary files


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
    if len(name.encode()) > MAX_FOLDER_NAME:
        whole = hashlib.blake2b(overrides.encode(errors="replace"), digest_size=4).hexdigest()
        name = f"{name.encode()[:MAX_FOLDER_NAME].decode(errors='ignore')}-{whole}"
    return name


def sweep_folder_name(name: str | None) -> str:
    """That of a sweep with this ``sweep.name``, or without one."""
    return timestamp() if name is None else name


def wrong_name(name: str, key: str = "name") -> Iterator[str]:
    """What is wrong with ``key``'s value, if it makes no folder inside outputs/ on every common file system."""
    if not re.fullmatch(r"[^\W_][\w.,=+@:-]*", name) or len(name.encode()) > MAX_FOLDER_NAME:
        allowed = f"up to {MAX_FOLDER_NAME} bytes of letters, digits and .,=+@:_-, the first a letter or digit"
        yield f"{key}={ascii(name)[1:-1][:MAX_FOLDER_NAME]} is not possible: it names a folder: {allowed}"


def dataset_name(*, _root_: DictConfig) -> str:
    """The option that the data set is of: ``pattern``, ``nmnist``, ...; files of settings for one share its name."""
    schema = OmegaConf.get_type(_root_.dataset)
    return str(getattr(schema, "option", "run"))


def register_resolvers() -> None:
    """Make ``${qsnn.timestamp:}``, ``${qsnn.sweep_folder:...}``, ``${qsnn.folder_name:...}`` and ``${qsnn.dataset:}`` known to
    OmegaConf."""
    OmegaConf.register_new_resolver("qsnn.sweep_folder", sweep_folder_name, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("qsnn.dataset", dataset_name, replace=True)
    OmegaConf.register_new_resolver("qsnn.timestamp", timestamp, use_cache=True, replace=True)
    OmegaConf.register_new_resolver("qsnn.folder_name", folder_name, replace=True)


def quoted(path: Path) -> str:
    """A path as a value in Hydra's grammar, where ``${`` would be an interpolation."""
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(path))
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", literal) + "'"


def split_checkpoint(path: Path) -> tuple[Path, str]:
    """A run's folder and which of its checkpoints ``path`` names: the folder (the last one) or checkpoints/<name>.pt."""
    if path.suffix == ".pt" and path.parent.name == "checkpoints":
        return path.parent.parent, path.name
    return path, "last.pt"
