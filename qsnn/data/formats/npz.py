"""A .npz of named arrays that somebody else wrote: what each says of itself is known before one of them is read.

As numpy.savez and numpy.savez_compressed write them. Pickles are never read, and an array gets room only if it is of at most
`MAX_BYTES`, whatever the file unpacks to.
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.data.formats.guard import MAX_BYTES, data_error_if_broken, declared_array
from qsnn.errors import DataError

ADVICE = "save it again with numpy.savez"
KINDS = {"b": "bool", "i": "integers", "u": "integers", "f": "floats", "U": "text"}
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Declared(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def npz_shapes(path: Path, advice: str = ADVICE) -> dict[str, tuple[int, ...]]:
    """The shape that each array in a .npz says it has, whatever their names. Raises DataError, with the ``advice`` what to do,
    where it is none."""
    shapes = {}
    with data_error_if_broken(path, "a .npz of arrays", advice), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as file:
                shapes[entry.filename.removesuffix(".npy")] = declared_array(file, entry.file_size)[0]
    return shapes


class NpzFile:
    """The arrays in ``path`` by name.

    ``kinds``: the names that are known, each with the kinds of its values as letters of numpy, `KINDS`. ``declared``: shape and
    type of each array that the file has; ``advice``: what to do about one that is broken.

    Raises:
        DataError: no such file, no .npz, a name that is not known, values of another kind, a pickle, an array that is larger
            than `MAX_BYTES` or than what the file holds.
    """

    def __init__(self, path: Path, kinds: Mapping[str, str], advice: str = ADVICE) -> None:
        if not path.is_file():
            raise DataError(f"{path} is not a file; relative paths start at {Path.cwd()}; give a .npz")
        self.path, self._advice = path, advice
        with data_error_if_broken(path, "a .npz of arrays", self._advice), zipfile.ZipFile(path) as archive:
            self._entries = self._known(archive.infolist(), kinds)
            self.declared = {name: self._declared(archive, name, kinds[name]) for name in self._entries}

    def error(self, text: str) -> DataError:
        """The error of what is wrong in this file."""
        return DataError(f"{self.path}: {text}")

    def read(self, name: str) -> NDArray[Any]:
        """An array. Raises DataError where the file is damaged."""
        with data_error_if_broken(self.path, "a .npz of arrays", self._advice), zipfile.ZipFile(self.path) as archive:
            with archive.open(self._entries[name]) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
                file.read()  # the checksum is compared at the end
            if array.dtype.kind == "U":
                array.tolist()  # raises for numbers that are no characters
        if Declared(array.shape, array.dtype) != self.declared[name]:
            raise self.error("it has changed while it was read; do not write it during a run")
        return array

    def _known(self, entries: list[zipfile.ZipInfo], kinds: Mapping[str, str]) -> dict[str, zipfile.ZipInfo]:
        known: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if name not in kinds or name == entry.filename:  # every array is called name.npy
                raise self.error(
                    f"it holds {ascii(entry.filename)[:60]}, which means nothing here; known are {', '.join(kinds)}"
                )
            if name in known:
                raise self.error(f"it holds {name} twice; {self._advice}")
            if entry.compress_type not in _COMPRESSIONS:
                raise self.error(f"{name} is packed in a way that numpy does not write; {self._advice}")
            known[name] = entry
        return known

    def _declared(self, archive: zipfile.ZipFile, name: str, kinds: str) -> Declared:
        entry = self._entries[name]
        with archive.open(entry) as file:
            try:
                shape, dtype = declared_array(file, entry.file_size)
            except ValueError as error:
                reason = str(error).splitlines()[0][:200]
                raise self.error(f"{name}: {reason}; only plain arrays are read, no pickles: {self._advice}") from error
        if dtype.kind not in kinds:
            allowed = " or ".join(dict.fromkeys(KINDS[kind] for kind in kinds))
            raise self.error(f"{name} has values of type {dtype}, allowed are {allowed}")
        if math.prod(shape) * dtype.itemsize > MAX_BYTES:
            raise self.error(f"{name} has shape {list(shape)} and type {dtype}; at most {MAX_BYTES} bytes are read")
        return Declared(shape, dtype)
