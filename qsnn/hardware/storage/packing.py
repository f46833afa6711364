"""Weights packed for real, bit by bit, and read back: what the formulas of `qsnn.hardware.storage.schemes` count."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.hardware.storage.schemes import SIGNS, index_bits, pointer_bits

Bits = NDArray[np.uint8]


class Packed(NamedTuple):
    """A matrix (I, N) in a scheme: 0 and 1, one an element, of each part."""

    scheme: str
    shape: tuple[int, int]
    code_bits: int
    parts: dict[str, Bits]

    @property
    def num_bits(self) -> int:
        """All that is stored."""
        return sum(part.size for part in self.parts.values())


def pack(codes: NDArray[Any], bits: int, scheme: str) -> Packed:
    """Codes (I, N), as two's complement of ``bits`` (of one bit: whether it is above 0). Raises ValueError for a code that has
    no room, and for a scheme that is none."""
    there = codes != 0
    values, width = codes[there], 1 if scheme == SIGNS else bits
    shape = (codes.shape[0], codes.shape[1])
    begins = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    pointers = _fields(begins, pointer_bits(int(begins[-1])))
    if scheme == "crossbar":
        return Packed(scheme, shape, width, {"codes": _codes(codes.ravel(), width)})
    if scheme in ("pb_bmp", SIGNS):
        parts = {"pointers": pointers[:-1], "bitmap": there.astype(np.uint8), "codes": _codes(values, width)}
    elif scheme == "pb_csr":
        columns = _fields(np.nonzero(there)[1], index_bits(shape[1]))
        parts = {"pointers": pointers, "indices": columns, "codes": _codes(values, width)}
    else:
        raise ValueError(f"{scheme} packs no matrix")
    return Packed(scheme, shape, width, parts)


def row(packed: Packed, number: int) -> NDArray[np.int64]:
    """A row's codes (N,), sought as a spike of its input seeks them."""
    found = np.zeros(packed.shape[1], dtype=np.int64)
    codes = _values(packed.parts["codes"], packed.code_bits)
    if packed.scheme == "crossbar":
        return codes[number * packed.shape[1] : (number + 1) * packed.shape[1]]
    begin = int(_numbers(packed.parts["pointers"][number : number + 1])[0])
    if packed.scheme == "pb_csr":
        end = int(_numbers(packed.parts["pointers"][number + 1 : number + 2])[0])
        found[_numbers(packed.parts["indices"][begin:end])] = codes[begin:end]
    else:
        columns = np.nonzero(packed.parts["bitmap"][number])[0]
        found[columns] = codes[begin : begin + columns.size]
    return found


def _fields(numbers: NDArray[Any], width: int) -> Bits:
    """(n, width): numbers of 0 and more, the highest bit first."""
    shifts = np.arange(width)[::-1]
    return ((numbers.astype(np.int64)[:, None] >> shifts) & 1).astype(np.uint8)


def _codes(codes: NDArray[Any], width: int) -> Bits:
    if width == 1:
        return _fields(codes > 0, 1)
    half = 1 << (width - 1)
    if codes.size and not (-half <= codes.min() and codes.max() < half):
        raise ValueError(f"a code from {codes.min()} to {codes.max()} has no room in {width} bits")
    return _fields(codes.astype(np.int64) % (1 << width), width)


def _numbers(fields: Bits) -> NDArray[np.int64]:
    return fields.astype(np.int64) @ (1 << np.arange(fields.shape[1])[::-1])


def _values(fields: Bits, width: int) -> NDArray[np.int64]:
    numbers = _numbers(fields)
    return 2 * numbers - 1 if width == 1 else numbers - ((numbers >> (width - 1)) << width)
