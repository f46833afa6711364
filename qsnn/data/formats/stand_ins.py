"""What pickles of tensors and arrays get in place of numpy's and torch's own constructors.

Those constructors trust their arguments, and a hostile pickle chooses the arguments. The stand-ins check them, hold the
result, and refuse every attribute that a pickle tries to set.
"""

import io
import pickle
import re
from typing import Any

import numpy as np
import torch

from qsnn.data.formats.guard import refuse_packed

ZIP_MAGIC = b"PK\x03\x04"
_NUMBER_TYPE = re.compile("[biuf][0-9]{1,2}")


class Refused(pickle.UnpicklingError):
    """What a pickle asks for is not given; the message continues the file's name."""


class _Inert:
    """Base of the stand-ins: a pickle can hand them around, and set nothing on them."""

    def __setstate__(self, state: object) -> None:
        raise Refused("tries to change a tensor or an array after it is made")


class _DType(_Inert):
    """Stands in for numpy.dtype(name, align, copy): plain numbers only, no objects and no records."""

    def __init__(self, name: object, *_: object) -> None:
        if not isinstance(name, str) or not _NUMBER_TYPE.fullmatch(name):
            raise Refused("holds an array of something other than numbers (objects, text, or records)")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: object) -> None:
        match state:
            case (int(), ("<" | ">" | "|" | "=") as byte_order, None, None, None, *_):
                self.dtype = self.dtype.newbyteorder(byte_order)
            case _:
                raise Refused("holds an array of records")


class ArrayStandIn(_Inert):
    """Stands in for an array, made empty by `_reconstruct` and filled from its state."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __setstate__(self, state: Any) -> None:
        _version, shape, dtype, is_fortran, raw = state
        self.values = _from_buffer(raw, dtype, shape, "F" if is_fortran else "C").values


# The class itself is only ever an argument; calling this fails.
_NDARRAY = _Inert()


def _reconstruct(subtype: object, *_: object) -> ArrayStandIn:
    if subtype is not _NDARRAY:
        raise Refused("holds a subclass of numpy.ndarray")
    return ArrayStandIn(np.empty(0))


def _from_buffer(raw: Any, dtype: object, shape: Any, order: Any, *_: object) -> ArrayStandIn:
    if not isinstance(dtype, _DType) or not isinstance(raw, bytes | bytearray):
        raise Refused("holds an array whose values are not plain bytes of numbers")
    return ArrayStandIn(np.frombuffer(raw, dtype.dtype).reshape(shape, order=order))


class _Storage(_Inert):
    """Stands in for a torch storage: its values in a row."""

    def __init__(self, raw: bytes) -> None:
        # The original, torch.storage._load_from_bytes, runs an unrestricted pickle of its own.
        storage = load_torch(raw)
        if not isinstance(storage, torch.TypedStorage):
            raise Refused("holds a tensor without a storage")
        self.row = torch.empty(0, dtype=storage.dtype).set_(storage.untyped())


class TensorStandIn(_Inert):
    """Stands in for a tensor, torch._utils._rebuild_tensor(_v2). A view never reads past its storage: torch checks."""

    def __init__(self, storage: object, offset: Any, size: Any, stride: Any, *_: object) -> None:
        if not isinstance(storage, _Storage):
            raise Refused("holds a tensor without a storage")
        self.tensor = storage.row.as_strided(size, stride, offset)


def _first(value: object, *_: object) -> object:
    """Stands in for torch._utils._rebuild_parameter: the tensor without its flags."""
    return value


def _encode(text: Any, codec: object) -> bytes:
    if not isinstance(text, str) or codec != "latin1":
        raise Refused("asks to run _codecs.encode on something else than bytes")
    return text.encode("latin1")


def _nothing(*_: object) -> None:
    """Stands in for collections.OrderedDict(), the empty backward hooks of a tensor."""


STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("torch._utils", "_rebuild_tensor"): TensorStandIn,
    ("torch._utils", "_rebuild_tensor_v2"): TensorStandIn,
    ("torch._utils", "_rebuild_parameter"): _first,
    ("torch.storage", "_load_from_bytes"): _Storage,
    ("collections", "OrderedDict"): _nothing,
    ("_codecs", "encode"): _encode,
}


def load_torch(data: bytes) -> object:
    """Return what a file of torch.save holds, on the CPU. Raises Refused, or one of `guard.BROKEN_FILE_ERRORS`."""
    if data.startswith(ZIP_MAGIC):
        refuse_packed(data)
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's message runs over many lines and advises to switch its fence off; only the name is worth passing on.
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise Refused(f"asks to run {refused[1]}" if refused else "is no file of torch.save") from error
