"""HDF5 files of others: arrays of one axis, found and measured before anything is allocated for them.

h5py (extra ``hdf5``) finds the entries and tells where they lie. Arrays of variable length are read here, from the references
and heaps of the file (HDF5 file format specification 3.0, III.E "global heap"): the library allocates what a damaged
reference declares, 8 GB for 3 kB, before it looks whether that is there, and follows a damaged heap for ever. Links
and data that lead to other files are refused.
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
_REFERENCE = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])
_HEAP = np.dtype(
    {"names": ["mark", "version", "size"], "formats": ["S4", "u1", "<u8"], "offsets": [0, 4, 8], "itemsize": 16}
)
_OBJECT = np.dtype([("number", "<u2"), ("count", "<u2"), ("nothing", "<u4"), ("size", "<u8")])
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
    node = array_of(file, name, path)
    inner = element_type(node)
    if not isinstance(inner, np.dtype) or inner.kind not in kinds:
        wanted = "floats" if kinds == "f" else "integers"
        found = f"variable-length arrays of {inner}" if isinstance(inner, np.dtype) else f"of type {node.dtype}"
        raise DataError(f"{path}: {name} is {found}, expected variable-length arrays of {wanted}; {ADVICE}")
    return node


def element_type(entry: Any) -> Any:
    """numpy's type of the elements of variable-length arrays, str or bytes of texts, None of other entries."""
    import h5py

    return h5py.check_vlen_dtype(entry.dtype)


def integers_of(file: Any, name: str, path: Path) -> NDArray[np.int64]:
    """The integers ``name``. Raises DataError."""
    node = array_of(file, name, path)
    if node.dtype.kind not in "iu":
        raise DataError(f"{path}: {name} is of type {node.dtype}, expected integers; {ADVICE}")
    return node[:].astype(np.int64)


def references_of(file: Any, entry: Any, path: Path) -> NDArray[np.void]:
    """[N]: what stands in the file for each variable-length array of ``entry``: length, address, index. Raises DataError."""
    sizes = file.id.get_create_plist().get_sizes()
    if sizes[0] != 8 or sizes[1] != 8:
        raise DataError(f"{path} has addresses of {sizes[0]} and lengths of {sizes[1]} bytes, expected 8; {ADVICE}")
    size = _REFERENCE.itemsize
    raw = bytearray(size * len(entry))
    if entry.chunks is None:
        offset = entry.id.get_offset()  # None: nothing was ever written
        if offset is None and entry.id.get_storage_size():
            raise DataError(f"{path}: {entry.name} is in the compact layout of HDF5, which is not read; {ADVICE}")
        if offset is not None:
            raw[:] = _bytes_at(path, offset, len(raw))
    else:
        for number in range(entry.id.get_num_chunks()):
            info = entry.id.get_chunk_info(number)
            start = size * info.chunk_offset[0]
            chunk = _chunk(entry, info, size * entry.chunks[0], path)[: max(0, len(raw) - start)]
            raw[start : start + len(chunk)] = chunk
    return np.frombuffer(bytes(raw), _REFERENCE)


class Heaps:
    """The global heaps of a file, where variable-length arrays lie: collections of numbered objects.

    A collection: GCOL, version 1, 3 bytes of nothing, its size; then for each object its number, a count, 4 bytes of nothing,
    its size, and its bytes, filled up to a multiple of 8. The last collection that was read is kept.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._address, self._objects = -1, dict[int, bytes]()

    def array(self, reference: np.void, dtype: np.dtype[Any]) -> NDArray[Any]:
        """The array of ``dtype`` that a reference stands for. Raises DataError where it is not there as declared."""
        length, address, number = (int(value) for value in reference.tolist())
        if not length:
            return np.empty(0, dtype)
        if address != self._address:
            self._address, self._objects = address, self._collection(address)
        data = self._objects.get(number, b"")
        if len(data) != length * dtype.itemsize:
            found = f"an array of {length} times {dtype.itemsize} bytes is said to be object {number}, which has {len(data)}"
            raise DataError(f"{self.path}, byte {address}: {found}; {ADVICE}")
        return np.frombuffer(data, dtype)

    def _collection(self, address: int) -> dict[int, bytes]:
        head = _bytes_at(self.path, address, _HEAP.itemsize)
        mark, version, size = np.frombuffer(head, _HEAP)[0].tolist()[:3]
        if mark != b"GCOL" or version != 1 or size < _HEAP.itemsize:
            raise DataError(
                f"{self.path}, byte {address}: no heap of HDF5, expected GCOL, version 1 and its size; {ADVICE}"
            )
        data, objects, place = _bytes_at(self.path, address, size), dict[int, bytes](), _HEAP.itemsize
        while place + _OBJECT.itemsize <= size:
            number, object_size = np.frombuffer(data, _OBJECT, 1, place)[0].tolist()[::3]
            place += _OBJECT.itemsize
            if number == 0 or object_size > size - place:  # 0: free space, to the end
                break
            objects[number] = data[place : place + object_size]
            place += -(-object_size // 8) * 8
        return objects


def _bytes_at(path: Path, offset: int, size: int) -> bytes:
    """Bytes of the file, not by way of the library. Raises DataError where it ends before."""
    if offset + size > path.stat().st_size:
        raise DataError(
            f"{path}, byte {offset}: {size} bytes of an array are said to be there; the file ends before; {ADVICE}"
        )
    with path.open("rb") as plain:
        plain.seek(offset)
        return plain.read(size)


def _chunk(entry: Any, info: Any, size: int, path: Path) -> bytes:
    """The ``size`` bytes of a chunk as they were before they were packed; ``info``: where it lies."""
    settings = entry.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    used = [code for number, code in enumerate(filters) if not info.filter_mask >> number & 1]
    data = _bytes_at(path, info.byte_offset, info.size)
    if used == [_DEFLATE]:
        data = zlib.decompressobj().decompress(data, size)
    elif used:
        raise DataError(
            f"{path}: {entry.name} is packed by filters {used} of HDF5; only gzip is read: write it without them"
        )
    if len(data) != size:
        raise DataError(f"{path}: a chunk of {entry.name} has {len(data)} bytes, expected {size}; {ADVICE}")
    return data
