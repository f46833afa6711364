"""HDF5 files of others: arrays of one axis, found and measured before anything is allocated for them.

Read by h5py (extra ``hdf5``). The HDF5 library allocates what a file declares before it looks whether that is there: with
arrays of variable length, 3 kB can ask for 8 GB. So the lengths that they declare are read first, from the references that
stand in the file for the arrays (a length of 32 bits, an address, an index of 32 bits; HDF5 file format 3.0, "global heap").
Links and data that lead to other files are refused.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn.data.formats.guard import data_error_if_broken
from qsnn.errors import DataError

ADVICE = "download it again, and unpack it if it is a .gz"
MAX_ENTRIES, MAX_FILE_BYTES = 2**20, 2**36
_MAX_CHUNK_BYTES, _MAX_ITEM_BYTES = 2**26, 16
_DEFLATE = 1  # gzip's number among the filters of HDF5


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever the library raises inside becomes one line. Nothing may be yielded from inside."""
    with data_error_if_broken(path, "HDF5", ADVICE):
        yield


def open_hdf5(path: Path) -> Any:
    """The file, opened to be read. Raises DataError without h5py, or for what is no HDF5 file."""
    try:
        import h5py
    except ImportError as error:
        wanted = "h5py, which is not installed: pip install h5py, or qsnn with its extra, pip install 'qsnn[hdf5]'"
        raise DataError(f"reading {path.name} needs {wanted}") from error
    if not path.is_file():
        raise DataError(f"{path} is no file; the data set is not complete")
    if not 0 < path.stat().st_size <= MAX_FILE_BYTES:
        raise DataError(f"{path} has {path.stat().st_size} bytes; between 1 and {MAX_FILE_BYTES} are read; {ADVICE}")
    with reading(path):
        file = h5py.File(path, "r", locking=False)
        size = file.userblock_size
    if size:  # its addresses would count from elsewhere
        file.close()
        raise DataError(f"{path} begins with {size} bytes that are not HDF5; {ADVICE}")
    return file


def find_entry(file: Any, name: str, path: Path) -> Any | None:
    """What the file has under the path ``name``, or None. Raises DataError for links: they can lead to other files."""
    import h5py

    node = file
    for part in name.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise DataError(f"{path}: {name} is a link to somewhere else, expected the array itself; {ADVICE}")
        node = node[part]
    return node


def array_of(file: Any, name: str, path: Path) -> Any:
    """The array ``name``, of one axis, not read yet. Raises DataError for none, one kept elsewhere, one that is too large."""
    import h5py

    node = find_entry(file, name, path)
    if node is None:
        there = ", ".join(ascii(key)[1:-1] for key in islice(file, 8)) or "nothing"
        raise DataError(f"{path} has no {name}, expected one; at its top it has {there}; {ADVICE}")
    if not isinstance(node, h5py.Dataset) or node.shape is None or len(node.shape) != 1:
        found = f"an array of shape {node.shape}" if isinstance(node, h5py.Dataset) else "no array"
        raise DataError(f"{path}: {name} is {found}, expected one of one axis, an entry a recording; {ADVICE}")
    if node.external or node.is_virtual:
        raise DataError(f"{path}: {name} is kept in another file, expected the array itself; {ADVICE}")
    if node.shape[0] > MAX_ENTRIES:
        raise DataError(f"{path}: {name} declares {node.shape[0]} recordings, at most {MAX_ENTRIES} are read; {ADVICE}")
    chunk_bytes = node.chunks[0] * _MAX_ITEM_BYTES if node.chunks else 0
    if node.dtype.itemsize > _MAX_ITEM_BYTES or chunk_bytes > _MAX_CHUNK_BYTES:
        raise DataError(f"{path}: {name} has entries of {node.dtype} in chunks of {node.chunks}: too large; {ADVICE}")
    return node


def arrays_of(file: Any, name: str, path: Path, kinds: str) -> Any:
    """The entry ``name``, of arrays of variable length of numpy's ``kinds`` ("f" or "iu"), not read yet. Raises DataError."""
    import h5py

    node = array_of(file, name, path)
    inner = h5py.check_vlen_dtype(node.dtype)
    if not isinstance(inner, np.dtype) or inner.kind not in kinds:
        wanted = "floats" if kinds == "f" else "integers"
        found = f"variable-length arrays of {inner}" if isinstance(inner, np.dtype) else f"of type {node.dtype}"
        raise DataError(f"{path}: {name} is {found}, expected variable-length arrays of {wanted}; {ADVICE}")
    return node


def integers_of(file: Any, name: str, path: Path) -> NDArray[np.int64]:
    """The integers ``name``. Raises DataError."""
    node = array_of(file, name, path)
    if node.dtype.kind not in "iu":
        raise DataError(f"{path}: {name} is of type {node.dtype}, expected integers; {ADVICE}")
    return node[:].astype(np.int64)


def declared_lengths(file: Any, entry: Any, path: Path) -> NDArray[np.int64]:
    """[N]: how long each variable-length array of ``entry`` says it is; the arrays are not read. Raises DataError."""
    reference = 8 + file.id.get_create_plist().get_sizes()[0]
    raw = bytearray(reference * len(entry))
    if entry.chunks is None:
        offset = entry.id.get_offset()  # None: nothing was ever written
        if offset is None and entry.id.get_storage_size():
            raise DataError(f"{path}: {entry.name} is in the compact layout of HDF5, which is not read; {ADVICE}")
        if offset is not None:
            with path.open("rb") as plain:
                plain.seek(offset)
                raw[:] = plain.read(len(raw)).ljust(len(raw), b"\0")
    else:
        for number in range(entry.id.get_num_chunks()):
            first = entry.id.get_chunk_info(number).chunk_offset
            chunk = _chunk(entry, first, reference * entry.chunks[0], path)[: reference * (len(entry) - first[0])]
            raw[reference * first[0] : reference * first[0] + len(chunk)] = chunk
    return np.frombuffer(bytes(raw), np.uint8).reshape(-1, reference)[:, :4].copy().view("<u4")[:, 0].astype(np.int64)


def _chunk(entry: Any, first: tuple[int, ...], size: int, path: Path) -> bytes:
    """The ``size`` bytes of a chunk as they were before they were packed."""
    mask, data = entry.id.read_direct_chunk(first)
    settings = entry.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    used = [code for number, code in enumerate(filters) if not mask >> number & 1]
    if used == [_DEFLATE]:
        data = zlib.decompressobj().decompress(data, size)
    elif used:
        raise DataError(
            f"{path}: {entry.name} is packed by filters {used} of HDF5; only gzip is read: write it without them"
        )
    if len(data) != size:
        raise DataError(f"{path}: a chunk of {entry.name} has {len(data)} bytes, expected {size}; {ADVICE}")
    return bytes(data)
