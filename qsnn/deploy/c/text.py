"""Pieces of C: types, literals, arrays, and weights at their width."""

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.widths import Range

NARROW_BITS, WIDE_BITS = 31, 63
"""Sums of at most so many bits are held in int32_t and int64_t: one bit is left, so that every factor of a term fits too."""
LINE = 118
RESERVED = ("selftest", "events", "main", "stdint", "stddef", "stdio", "stdlib", "string")
"""Files that there are, and headers of C."""


def identifier(name: str) -> str:
    """The name of a run as one of C: small letters, digits and _, at most 40."""
    found = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")[:40]
    plain = found and found[0].isalpha() and found not in RESERVED
    clash = re.match(r"(step|sums|plane|table|pool|weight_of)_", found)  # what functions of the source begin with
    return found if plain and not clash else f"net_{found}".rstrip("_")


def literal(value: int) -> str:
    """An integer constant, also where int has 16 bits: C gives it the first type that holds it, and 2^31 is no int32_t."""
    return f"{value}" if abs(value) < 2**31 else f"INT64_C({value})"


def text_literal(text: str) -> str:
    """A string; whatever is no plain letter is an octal escape."""
    plain = (chr(c) if 32 <= c < 127 and chr(c) not in '"\\?' else f"\\{c:03o}" for c in text.encode())
    return f'"{"".join(plain)}"'


def signed_type(high: int) -> str:
    """The narrowest for -high .. high."""
    return next(f"int{bits}_t" for bits in (8, 16, 32, 64) if high < 2 ** (bits - 1))


def unsigned_type(high: int) -> str:
    """The narrowest for 0 .. high."""
    return next(f"uint{bits}_t" for bits in (8, 16, 32, 64) if high < 2**bits)


def word_bits(*sums: Range) -> int:
    """32 or 64: of the accumulator of sums in these ranges."""
    return 32 if max(found.bits for found in sums) <= NARROW_BITS else 64


def values(codes: NDArray[Any] | list[int]) -> str:
    """The inside of an initializer, in lines."""
    flat = np.asarray(codes).ravel()
    wide = bool(flat.size) and int(np.abs(flat.astype(np.int64)).max()) >= 2**31
    words = [literal(value) for value in flat.tolist()] if wide else list(map(str, flat.tolist()))
    longest = max((len(word) for word in words), default=1) + 2
    per_line = max(1, LINE // longest)
    return ",\n    ".join(", ".join(words[n : n + per_line]) for n in range(0, len(words), per_line))


class Packed(NamedTuple):
    """Weights as they lie in C. ``type`` of an element; ``content``: of the initializer; ``row``: elements of a row;
    ``count``: of all; ``get``: expression of weight ``n`` of row ``row``; ``how``: for people."""

    type: str
    content: str
    row: int
    count: int
    get: str
    how: str


def packed(codes: Whole, bits: int) -> Packed:
    """Rows (R, N) of codes: of 1, 2 or up to 4 bits 8, 4 or 2 a byte, the first in the least significant bits, as codes from 0
    on; wider ones in the integer type that holds them."""
    rows, length = codes.shape
    if bits > 4:
        kind = signed_type(2 ** (bits - 1) - 1)
        return Packed(kind, values(codes), length, codes.size, "row[n]", f"{bits} bits in {kind}")
    width = bits if bits <= 2 else 4
    each = 8 // width
    lowest, step = (1, 2) if bits == 1 else (2 ** (width - 1), 1)
    line = -(-length // each)
    padded = np.zeros((rows, line * each), np.int64)
    padded[:, :length] = (codes + lowest) // step
    content = (padded.reshape(rows, line, each) << (np.arange(each) * width)).sum(2)
    byte = f"row[n >> {each.bit_length() - 1}] >> ((n & {each - 1}) * {width}) & {2**width - 1}"
    get = f"2 * ({byte}) - 1" if bits == 1 else f"({byte}) - {lowest}"
    return Packed("uint8_t", values(content), line, content.size, get, f"{bits} bits, {each} in a byte")
