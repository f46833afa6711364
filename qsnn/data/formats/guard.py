"""What every reader here needs for files that somebody else wrote: limits, and the errors of a broken file."""

import io
import math
import pickle
import stat
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from qsnn.errors import DataError

# 10,000 steps of 10,000 neurons fit. What is larger is a mistake, or a bomb: a small file that unpacks to fill memory.
MAX_ELEMENTS = 2**27
MAX_BYTES = 8 * MAX_ELEMENTS

# What numpy, torch, PIL, zipfile and pickle have been seen or are documented to raise on bytes that are not what they
# promise: wrong magic or length (first two lines), numbers that make no sense (next two), names and states that do not
# fit (fifth), sizes that cannot be had (last two). Errors of the machine or the user (KeyboardInterrupt, ...) pass.
BROKEN_FILE_ERRORS: tuple[type[Exception], ...] = (
    pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, struct.error, EOFError,
    OSError, SyntaxError, tokenize.TokenError,  # PIL and numpy's header parser
    ValueError,  # UnicodeDecodeError too
    ArithmeticError,  # OverflowError, ZeroDivisionError
    LookupError, AttributeError, TypeError, AssertionError,
    RuntimeError,  # torch's own; RecursionError and NotImplementedError too
    MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


@contextmanager
def data_error_if_broken(path: Path, kind: str, advice: str) -> Iterator[None]:
    """Turn any of `BROKEN_FILE_ERRORS` raised inside into one line that names the file, its kind and what to do."""
    try:
        # Libraries warn about oddities on the way to the error; the one line is enough. Only a picture that PIL finds
        # suspiciously large stops here.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except BROKEN_FILE_ERRORS as error:
        raise DataError(
            f"{path} cannot be read as {kind} ({type(error).__name__}): it is broken, cut short, too large,"
            f" or holds something else; {advice}"
        ) from error


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Readers parse these bytes and never the file itself: one place for the errors of the file system, and torch.load
    looks for its oldest, unsafe formats (tar) only in real files.

    Raises:
        DataError: the file is missing, no regular file, not readable, empty, or larger than MAX_BYTES.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
            raise DataError(f"{path} is a folder or a device, not a file; give the path of a file")
        if not 0 < status.st_size <= MAX_BYTES:
            raise DataError(f"{path} has {status.st_size} bytes; between 1 and {MAX_BYTES} are read")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; relative paths start at {Path.cwd()}") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise DataError(f"{path} cannot be opened ({error}); check the path and its permissions") from error


def refuse_packed(data: bytes) -> None:
    """Raise ValueError for a zip file that unpacks to more than itself, which numpy.savez and torch.save never write."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    size = sum(entry.file_size for entry in entries)
    if size > len(data) or any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError(f"unpacks to {size} bytes, more than it has")


def declared_array(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that a .npy file of ``size`` bytes says its array has; nothing of the array is read.

    Raises ValueError where these are not the bytes that follow, or no array of numbers or text.
    """
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"numpy's format {version} is not that of an array of numbers")
    shape, _, dtype = readers[version](file)
    bytes_of_array = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or file.tell() + bytes_of_array != size:
        raise ValueError(f"an array of shape {shape} and type {dtype} is not what the file holds")
    return shape, dtype
