"""What the data sets on disk share: finding their files, and the fingerprint by which a cache knows that it is of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from qsnn.errors import ConfigError, DataError
from qsnn.options import impossible

READER_VERSION = 2  # raise it when a reader yields other events from the same file: it makes old caches invalid


def check_root(root: Path, advice: str) -> None:
    """Raise DataError, with the ``advice`` where to get the data set, unless its folder is there."""
    if not root.is_dir():
        raise DataError(f"dataset.root={root} is not a folder; relative paths start at {Path.cwd()}; {advice}")


def files_fingerprint(files: Iterable[Path], root: Path, options: Mapping[str, object]) -> str:
    """A hash of the names below ``root``, sizes and times of change of ``files``, and of ``options`` (plain values).

    The content is not read: that would take longer than training's first epoch. A file that is written again counts as
    changed, even with the same content. Raises DataError if a file is missing.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([READER_VERSION, dict(options)], sort_keys=True).encode())
    for path in files:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"{path} cannot be found ({error.strerror}); the data set is not complete") from error
        digest.update(f"{path.relative_to(root).as_posix()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def root_of(root: str | None, advice: str) -> Path:
    """The folder that ``dataset.root`` names. Raises ConfigError, with the ``advice`` where to get the data set."""
    if not root:
        wanted = f"give the folder where the data set lies, dataset.root=...; if you do not have it yet, {advice}"
        raise ConfigError(impossible("dataset.root", root, wanted))
    folder = Path(root).expanduser()
    check_root(folder, advice)
    return folder
