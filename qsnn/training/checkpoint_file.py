"""The bytes of a checkpoint: an archive of torch.save with a checksum as its last bytes, and a reader that trusts nothing.

The archive's comment, where a zip file ends, is `MARK` and the BLAKE2b-128 of every byte before the checksum; torch ignores
comments, so ``torch.load(path, weights_only=True)`` reads the file too. The checksum tells damage, not malice: whoever
writes a file can seal it. So the reader runs no constructor but its own, looks at the pickle of plain values and of
descriptions of tensors first, and knows every size before it makes room for a single tensor.
"""

import hashlib
import io
import math
import pickle
import pickletools
import zipfile
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

MARK = b"qsnn checkpoint, BLAKE2b-128 of all before: "
DIGEST_BYTES = 16
_HEX = 2 * DIGEST_BYTES
_NO_COMMENT, _END_OF_ZIP, _CHUNK = b"\0\0", b"PK\5\6", 2**20
MAX_PICKLE_BYTES, MAX_VALUES, MAX_DEPTH = 2**24, 200_000, 12
_DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
# What torch.save writes for dicts, lists, plain values and tensors. No BUILD: nothing ever gets a state.
_OPCODES = frozenset({
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE",
    "TUPLE1", "TUPLE2", "TUPLE3", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "BINPERSID", "REDUCE",
})  # fmt: skip


class StoredTensor(NamedTuple):
    """A contiguous tensor that is still in the file: ``key`` of its bytes, which are exactly as many as it needs."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    key: str


class _Storage(NamedTuple):
    dtype: torch.dtype
    key: str
    numel: int


class Archive(NamedTuple):
    """An open checkpoint: ``content``, in which a `StoredTensor` stands for each tensor, and where these lie."""

    zip: zipfile.ZipFile
    prefix: str
    content: Any


def seal(archive: bytes) -> bytes:
    """What torch.save wrote, with its checksum as the zip file's comment."""
    if archive[-22:-18] != _END_OF_ZIP or archive[-2:] != _NO_COMMENT:
        raise ValueError("torch.save wrote no zip file, or one with a comment")
    head = archive[:-2] + (len(MARK) + _HEX).to_bytes(2, "little") + MARK
    return head + hashlib.blake2b(head, digest_size=DIGEST_BYTES).hexdigest().encode()


def is_sealed(file: BinaryIO) -> bool:
    """Whether the file ends in a checksum and every byte before is as it was written. Reads all of it."""
    size = file.seek(0, io.SEEK_END)
    if size < len(MARK) + _HEX:
        return False
    file.seek(0)
    digest, left = hashlib.blake2b(digest_size=DIGEST_BYTES), size - _HEX
    while left and (chunk := file.read(min(_CHUNK, left))):
        digest.update(chunk)
        left -= len(chunk)
    return file.read() == digest.hexdigest().encode()


def is_plain_torch(file: BinaryIO) -> bool:
    """Whether the file is whole as far as a zip file without a comment can tell: what torch.save itself writes."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 22))
    end = file.read()
    return len(end) == 22 and end.startswith(_END_OF_ZIP) and end.endswith(_NO_COMMENT)


def open_archive(file: BinaryIO) -> Archive:
    """Read everything but the tensors. Raises one of `qsnn.data.formats.guard.BROKEN_FILE_ERRORS` for another kind of file."""
    size = file.seek(0, io.SEEK_END)
    archive = zipfile.ZipFile(file)
    entries = {entry.filename: entry.file_size for entry in archive.infolist()}
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist())
    if packed or len(entries) != len(archive.infolist()) or sum(entries.values()) > size:
        raise pickle.UnpicklingError("its entries unpack to more than the file holds")
    prefix = archive.namelist()[0].split("/")[0]
    if entries[f"{prefix}/data.pkl"] > MAX_PICKLE_BYTES or archive.read(f"{prefix}/byteorder") != b"little":
        raise pickle.UnpicklingError("it is not what a net's checkpoint is")
    program = archive.read(f"{prefix}/data.pkl")
    _check_opcodes(program)
    content = _Unpickler(program, {name.removeprefix(f"{prefix}/data/"): n for name, n in entries.items()}).load()
    _check_values(content, set(), [MAX_VALUES])
    return Archive(archive, prefix, content)


def read_tensors(archive: Archive, content: Any) -> Any:
    """``content`` (of `Archive`, or a part of it) with the tensors themselves."""
    if isinstance(content, StoredTensor):
        return _read_tensor(archive, content)
    if isinstance(content, dict):
        return {name: read_tensors(archive, value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [read_tensors(archive, value) for value in content]
    return content


def _read_tensor(archive: Archive, stored: StoredTensor) -> Tensor:
    data = bytearray(archive.zip.read(f"{archive.prefix}/data/{stored.key}"))
    if not data:
        return torch.empty(stored.shape, dtype=stored.dtype)
    if stored.dtype == torch.bool:  # a byte that is neither 0 nor 1 would be neither True nor False
        return torch.frombuffer(data, dtype=torch.uint8).ne(0).reshape(stored.shape)
    return torch.frombuffer(data, dtype=stored.dtype).reshape(stored.shape)


def to_storable(content: Any) -> Any:
    """``content`` as the reader wants it: plain dicts and lists, and tensors on the CPU that own exactly their bytes."""
    if isinstance(content, Tensor):
        return content.detach().cpu().contiguous().clone()  # else torch.save writes the whole storage of a view
    if isinstance(content, dict):
        return {name: to_storable(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [to_storable(value) for value in content]
    return content


def _check_opcodes(program: bytes) -> None:
    """Raise UnpicklingError for a pickle of more than plain values and tensors; nothing has run by then."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(program)):
        # The machine makes room for every memo up to the number named, so a large number is a memory bomb.
        if opcode.name not in _OPCODES or (opcode.name.endswith("PUT") and int(argument or 0) > count):
            raise pickle.UnpicklingError(f"it holds more than tensors and plain values (pickle opcode {opcode.name})")


class _Unpickler(pickle.Unpickler):
    def __init__(self, program: bytes, sizes: dict[str, int]) -> None:
        super().__init__(io.BytesIO(program))
        self._sizes = sizes

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _described
        if (module, name) == ("collections", "OrderedDict"):  # a tensor's hooks, of which there are none
            return _nothing
        raise pickle.UnpicklingError("it asks to run " + ascii(f"{module}.{name}"[:80]).strip("'"))

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", torch.dtype() as dtype, str() as key, str(), int() as numel):
                if numel >= 0 and self._sizes.get(key) == numel * dtype.itemsize:
                    return _Storage(dtype, key, numel)
        raise pickle.UnpicklingError("a tensor's size is not that of its bytes")


def _nothing() -> None:
    return None


def _described(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    """In place of torch._utils._rebuild_tensor_v2: a tensor that is the whole of its storage, row by row."""
    sizes = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if not isinstance(storage, _Storage) or not sizes or offset != 0 or math.prod(shape) != storage.numel:
        raise pickle.UnpicklingError("a tensor's shape is not that of its bytes")
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    if storage.numel and [s for s, n in zip(stride, shape, strict=True) if n > 1] != [
        s for s, n in zip(steps, shape, strict=True) if n > 1
    ]:
        raise pickle.UnpicklingError("a tensor's strides are not those of its bytes")
    return StoredTensor(storage.dtype, shape, storage.key)


def _check_values(value: Any, keys: set[str], left: list[int], depth: int = 0) -> None:
    """Raise UnpicklingError for values of other kinds, nested too deep or too many (one list can be in a thousand), and for
    bytes that serve two tensors. ``keys`` of the tensors seen; ``left``: how many values may come."""
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise pickle.UnpicklingError("it holds more values than a checkpoint")
    if isinstance(value, StoredTensor):
        if value.key in keys:
            raise pickle.UnpicklingError("two tensors share their bytes")
        keys.add(value.key)
    elif type(value) is dict and all(isinstance(name, str) for name in value):
        for inner in value.values():
            _check_values(inner, keys, left, depth + 1)
    elif type(value) is list:
        for inner in value:
            _check_values(inner, keys, left, depth + 1)
    elif not isinstance(value, str | int | float | None):
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")
