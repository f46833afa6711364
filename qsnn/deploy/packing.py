"""Codes of b bits, b bits each: how weights lie in a file.

Code n takes the bits n b .. n b + b - 1 of the file, bit i of it being bit i mod 8 (from the least significant) of byte i div
8; what is left of the last byte is 0. Signed codes are in two's complement, unsigned ones as they are; of signed codes of one
bit a 0 stands for -1 and a 1 for +1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsnn.deploy.arithmetic import Whole, highest_code, whole

CHUNK = 2**16
"""Codes that are spread out to bits at a time: a multiple of 8, so that each chunk ends with a byte."""


def packed_size(count: int, bits: int) -> int:
    """Bytes of ``count`` codes."""
    return (count * bits + 7) // 8


def pack(codes: NDArray[Any], bits: int, signed: bool = True) -> bytes:
    """Codes of any shape, in C order. Raises ValueError for one that ``bits`` do not hold."""
    flat = whole(codes).ravel()
    low, high = code_range(bits, signed)
    if flat.size and (flat.min() < low or flat.max() > high or (bits == 1 and signed and not flat.all())):
        raise ValueError(f"codes from {flat.min()} to {flat.max()} do not fit {bits} bits")
    if bits == 1 and signed:
        flat = (flat + 1) >> 1
    places = np.arange(bits, dtype=np.int64)
    parts = (flat[start : start + CHUNK, None] >> places & 1 for start in range(0, flat.size, CHUNK))
    return b"".join(np.packbits(part.astype(np.uint8).ravel(), bitorder="little").tobytes() for part in parts)


def unpack(content: bytes, count: int, bits: int, signed: bool = True) -> Whole:
    """The inverse, (count,). Raises ValueError for content of another size, with bits after its end, or with the code
    -2^(bits-1), which no format has."""
    if len(content) != packed_size(count, bits):
        raise ValueError(f"{len(content)} bytes where {count} codes of {bits} bits take {packed_size(count, bits)}")
    flat, step = np.empty(count, np.int64), CHUNK * bits // 8
    places = np.arange(bits, dtype=np.int64)
    for number, start in enumerate(range(0, count, CHUNK)):
        part = np.frombuffer(content[number * step : (number + 1) * step], np.uint8)
        spread = np.unpackbits(part, bitorder="little")
        size = min(CHUNK, count - start) * bits
        if spread[size:].any():
            raise ValueError("bits after the last code are not 0")
        flat[start : start + CHUNK] = (spread[:size].reshape(-1, bits).astype(np.int64) << places).sum(1)
    if not signed:
        return flat
    if bits == 1:
        return 2 * flat - 1
    flat -= (flat >> (bits - 1)) << bits
    if flat.size and flat.min() < -highest_code(bits):
        raise ValueError(f"code {flat.min()} is below {-highest_code(bits)}, the lowest of {bits} bits")
    return flat


def code_range(bits: int, signed: bool) -> tuple[int, int]:
    """Lowest and highest code."""
    return (-highest_code(bits), highest_code(bits)) if signed else (0, 2**bits - 1)
