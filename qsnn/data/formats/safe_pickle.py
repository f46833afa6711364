"""Tensors and arrays out of pickles, without running anything that a pickle asks for.

A pickle is a program for a small stack machine, and may call any function of any module. Three fences stand here:

1. The opcodes are read before any runs. Those that a tensor or an array never needs are refused, and so are long
   programs, which is where memory and time bombs live (the data itself is a single opcode).
2. Names are looked up in the table `STAND_INS`, exact module and exact name, and in nothing else; nothing is imported.
3. What the table holds are stand-ins of our own (stand_ins.py), which check their arguments.

A file of torch.save goes to torch.load(weights_only=True), which has a fence of its own.
"""

import io
import math
import pickle
import pickletools
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from qsnn.data.formats.guard import MAX_ELEMENTS, data_error_if_broken
from qsnn.data.formats.stand_ins import STAND_INS, ZIP_MAGIC, ArrayStandIn, Refused, TensorStandIn, load_torch
from qsnn.errors import DataError

_LEGACY_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # pickle of torch.serialization.MAGIC_NUMBER
_ADVICE = "Save it as .npy instead"
_MAX_OPCODES = 200  # the longest honest program, an array at protocol 0, has about 70
_OPCODES = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "NONE", "NEWTRUE", "NEWFALSE",
    "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET",
})  # fmt: skip


def load_pickle(data: bytes, path: Path) -> np.ndarray:
    """Return the one tensor or array of numbers that a pickle or a file of torch.save holds, of any shape.

    Read are pickles (protocols 0 to 5) of a torch tensor or a numpy array, of numpy 1 or 2, and what torch.save wrote.

    Args:
        data: the file's bytes.
        path: the file's name, for messages.

    Raises:
        DataError: the data is broken, too large, not numbers, or asks for anything else; the message names it.
    """
    with data_error_if_broken(path, "a pickled tensor or array", _ADVICE):
        try:
            value = load_torch(data) if data.startswith((ZIP_MAGIC, _LEGACY_TORCH_MAGIC)) else _unpickle(data)
            return _to_array(value)
        except Refused as error:
            raise DataError(f"{path} {error}; only tensors and arrays are read from pickles. {_ADVICE}") from error


def _unpickle(data: bytes) -> object:
    _check_opcodes(data)
    return _Unpickler(io.BytesIO(data)).load()


def _check_opcodes(data: bytes) -> None:
    texts: list[str] = []  # pushed right before this opcode
    named: list[list[str]] = []
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name == "GLOBAL":
            named.append(str(argument).split(" ", 1))
        elif opcode.name == "STACK_GLOBAL" and len(texts) >= 2:
            named.append(texts[-2:])
        if isinstance(argument, str):
            texts.append(argument)
        elif opcode.name != "MEMOIZE":
            texts.clear()
        if opcode.name not in _OPCODES:
            _refuse_opcode(opcode.name, named)
        # The machine makes room for every memo up to the number named, so a large number is a memory bomb.
        if count >= _MAX_OPCODES or (opcode.name.endswith("PUT") and int(argument or 0) > _MAX_OPCODES):
            raise Refused("is a longer program than a tensor or an array needs")


def _refuse_opcode(opcode: str, named: list[list[str]]) -> NoReturn:
    # The class whose object the opcode fills says more than the opcode. For STACK_GLOBAL `named` is a guess, good
    # enough for a message; what decides is `find_class`.
    for module, name in named:
        _stand_in(module, name)
    raise Refused(f"holds other Python objects (pickle opcode {opcode})")


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _stand_in(module, name)


def _stand_in(module: str, name: str) -> Any:
    if (module, name) not in STAND_INS:
        raise Refused("asks to run " + ascii(f"{module}.{name}"[:80]).strip("'"))
    return STAND_INS[module, name]


def _to_array(value: object) -> np.ndarray:
    if isinstance(value, ArrayStandIn):
        return value.values
    tensor = value.tensor if isinstance(value, TensorStandIn) else value
    if not isinstance(tensor, Tensor):
        raise Refused(f"holds a {type(value).__name__}")
    # Checked before anything reads the values: a view of stride zero needs no memory until then.
    if math.prod(tensor.shape) > MAX_ELEMENTS:
        raise Refused(f"holds a tensor of more than {MAX_ELEMENTS} elements")
    # numpy knows no bfloat16 and no float8; float32 holds all of their values.
    wide = tensor.float() if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor
    return wide.detach().numpy()
