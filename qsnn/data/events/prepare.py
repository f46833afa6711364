"""Prepares an event data set: converts it once into a cache, and finds that cache again."""

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from qsnn.data.events.cache import write_cache
from qsnn.data.events.dataset import CACHE_VERSION, HEADER, EventDataset, open_dataset
from qsnn.data.events.source import EventSource
from qsnn.data.recording import Recording
from qsnn.errors import DataError

log = logging.getLogger(__name__)


def prepare_dataset(source: EventSource, cache_folder: Path | None = None, progress: bool = True) -> EventDataset:
    """Open the cache of ``source``, which is made first where there is none, or one that is damaged.

    A cache belongs to the fingerprint of its source (files and options) and to the version of its format, so a change of
    either makes another. Two processes that start at once make it once: the second waits. A process that is killed
    leaves nothing that counts as a cache.

    Args:
        source: the data set.
        cache_folder: where caches are kept, one folder each; None: `user_cache`, never the data set's own folder, which
            may be read-only or shared.
        progress: show a progress bar while converting.

    Raises:
        DataError: the data set is missing or broken, or the cache cannot be written.
    """
    key = hashlib.blake2b(f"{CACHE_VERSION} {source.fingerprint()}".encode(), digest_size=8).hexdigest()
    name = f"{source.name}-{key}"
    parent = user_cache() if cache_folder is None else cache_folder
    dataset = _open_if_usable(parent / name, source)
    if dataset is not None:
        log.info("%s: prepared recordings are in %s", source.name, dataset.folder)
        return dataset
    log.info("%s: preparing the recordings, once, in %s", source.name, parent / name)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with _lock(parent / f".{name}.lock"):
            dataset = _open_if_usable(parent / name, source)
            return dataset if dataset is not None else _convert(source, parent / name, progress)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "free some space there" if full else "allow to write there"
        raise DataError(
            f"the cache {parent / name} cannot be written ({error.strerror}): {advice}, or choose another folder with "
            "dataset.cache=...; nothing was left half-written"
        ) from error


def _open_if_usable(folder: Path, source: EventSource) -> EventDataset | None:
    """The cache; None where there is none, or one that is damaged or of another source, of which the log tells."""
    if not (folder / HEADER).exists():
        return None
    try:
        dataset = open_dataset(folder)
    except DataError as error:
        log.warning("%s", error)
        return None
    facts = [(one.name, tuple(one.classes), tuple(one.sensor), one.in_time) for one in (dataset, source)]
    if facts[0] != facts[1]:
        log.warning("%s is of another data set than it is named after; it is made again", folder)
        return None
    return dataset


def _convert(source: EventSource, folder: Path, progress: bool) -> EventDataset:
    """Make the cache while nobody else does."""
    for leftover in folder.parent.glob(f".{folder.name}.*.tmp"):  # of processes that were killed: we hold the lock
        shutil.rmtree(leftover, ignore_errors=True)
    if folder.exists():  # damaged: moved away at once, so that nobody opens what is being deleted
        remains = _temporary(folder)
        os.rename(folder, remains)
        shutil.rmtree(remains, ignore_errors=True)
    write_cache(source, _with_progress(source, progress), folder, _temporary(folder))
    return open_dataset(folder)


def _temporary(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")


def _with_progress(source: EventSource, progress: bool) -> Iterator[Recording]:
    bar = tqdm(source.recordings(), f"preparing {source.name}", len(source), unit=" recordings", disable=not progress)
    with contextlib.closing(bar):
        yield from bar


def user_cache() -> Path:
    """Where caches are kept if nothing else is said: QSNN_CACHE, else ``qsnn`` in XDG_CACHE_HOME, else ~/.cache/qsnn.

    Raises DataError where there is no home folder.
    """
    own, shared = os.environ.get("QSNN_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
    try:
        if own:
            return Path(own).expanduser()
        return Path(shared) / "qsnn" if os.path.isabs(shared) else Path.home() / ".cache" / "qsnn"
    except RuntimeError as error:
        raise DataError(
            f"no folder for prepared recordings ({error}): choose one with dataset.cache=..., or in QSNN_CACHE"
        ) from error


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that prepares %s", path.parent)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
