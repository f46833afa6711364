"""The disk cache of compiled kernels with a checksum in each file: a damaged one is compiled again instead of being run.

numba unpickles an index (.nbi) and machine code (.nbc) as they lie on the disk; cut short, by a full disk or a power cut, they
end every later start in an error until somebody deletes them, and a changed byte is executed. Here each file ends in the
BLAKE2b-128 of what is before, which pickle ignores.
"""
# mypy: allow-untyped-defs

import contextlib
import hashlib
import logging
from pathlib import Path

from numba.core.caching import IndexDataCacheFile

DIGEST_BYTES = 16
log = logging.getLogger(__name__)


def seal_cache(dispatcher):
    """Have ``dispatcher``, whose caching is enabled, write and read files with checksums."""
    dispatcher._cache._cache_file.__class__ = SealedCacheFile


def is_sealed(path):
    """Whether a file of the cache is missing, which numba expects, or ends in the checksum of its bytes."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return True
    return content[-DIGEST_BYTES:] == _digest(content[:-DIGEST_BYTES])


def _digest(content):
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


class _Kept:
    """A file that remembers what was written to it."""

    def __init__(self, file):
        self._file, self.digest = file, hashlib.blake2b(digest_size=DIGEST_BYTES)

    def write(self, data):
        self.digest.update(data)
        return self._file.write(data)


class SealedCacheFile(IndexDataCacheFile):
    """numba's files of one function; a damaged index counts as empty, damaged code as missing."""

    def _load_index(self):
        return super()._load_index() if self._usable(self._index_path) else {}

    def _load_data(self, name):
        path = self._data_path(name)
        if not self._usable(path):
            raise FileNotFoundError(path)  # numba compiles
        return super()._load_data(name)

    def _usable(self, path):
        sealed = is_sealed(path)
        if not sealed:
            log.warning("%s is damaged or cut short: this kernel is compiled again", path)
            with contextlib.suppress(OSError):  # of a folder that cannot be written
                Path(path).unlink()
        return sealed

    def save(self, key, data):
        """Keep compiled code; where that is not possible it serves this process alone."""
        try:
            super().save(key, data)
        except OSError as error:
            log.warning(
                "cannot keep compiled code in %s (%s): the next start compiles again", self._cache_path, error.strerror
            )

    @contextlib.contextmanager
    def _open_for_write(self, filepath):
        with super()._open_for_write(filepath) as file:
            kept = _Kept(file)
            yield kept
            file.write(kept.digest.digest())
