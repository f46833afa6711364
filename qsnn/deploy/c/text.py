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


class Part(NamedTuple):
    """Weights ``start`` .. ``stop`` - 1 of a row: ``get`` is that of ``n``."""

    start: int
    stop: int
    get: str


class Packed(NamedTuple):
    """Weights as they lie in C. ``type`` of an element; ``content``: of the initializer; ``row``: elements of a row;
    ``total``: of all; ``parts``: of a row; ``get``: expression of any weight ``n`` of ``row``; ``how``: for people."""

    type: str
    content: str
    row: int
    total: int
    parts: tuple[Part, ...]
    get: str
    how: str


def packed(codes: Whole, bits: int) -> Packed:
    """Rows (R, N) of codes: of 1, 2 or up to 4 bits 8, 4 or 2 a byte, as codes from 0 on; wider ones in the integer type that
    holds them.

    A row of L bytes is one of bit fields side by side: its byte j has the weights j, j + L, j + 2 L, ..., the first in the
    least significant bits. So a loop over bytes takes one field of each, with one shift for all, which compilers make
    vectors of."""
    rows, length = codes.shape
    if bits > 4:
        kind = signed_type(2 ** (bits - 1) - 1)
        whole_row = (Part(0, length, "row[n]"),)
        return Packed(kind, values(codes), length, codes.size, whole_row, "row[n]", f"{bits} bits in {kind}")
    width = bits if bits <= 2 else 4
    each = 8 // width
    lowest, step = (1, 2) if bits == 1 else (2 ** (width - 1), 1)
    line = -(-length // each)
    padded = np.zeros((rows, each, line), np.int64)
    padded.reshape(rows, -1)[:, :length] = (codes + lowest) // step
    content = (padded << (np.arange(each) * width)[:, None]).sum(1)
    parts = [
        Part(start, min(start + line, length), _code(f"row[n - {start}] >> {field * width}", width, lowest, step))
        for field, start in enumerate(range(0, length, line))
    ]
    get = _code(f"row[n % {line}] >> n / {line} * {width}", width, lowest, step)
    return Packed("uint8_t", values(content), line, content.size, tuple(parts), get, f"{bits} bits, {each} in a byte")


def _code(field: str, width: int, lowest: int, step: int) -> str:
    return f"{f'{step} * ' if step > 1 else ''}({field} & {2**width - 1}) - {lowest}"
