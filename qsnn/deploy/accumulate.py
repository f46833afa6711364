"""Sums as an accumulator of a given width makes them: exact, saturating or wrapping, with what did not fit counted.

A saturating accumulator that adds one product after another depends on their order: it is that of the weights in memory, input
first (channel, row, column of a kernel), zeros left out as they change nothing. Wrapping does not: the sum modulo 2^bits is
that of any order. One sum that left the width is one overflow, however often it did.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.deploy.arithmetic import WORD_BITS, Codes, Whole

Truths = NDArray[np.bool_]
SATURATE, WRAP = "saturate", "wrap"
OVERFLOWS = (SATURATE, WRAP)
NARROW_BITS = 32


class Accumulators(NamedTuple):
    """Of one layer. ``proved``: bits that its sums take, by name; ``bits`` that there are, None: as many; ``overflow``: what
    happens beyond."""

    proved: Mapping[str, int]
    bits: int | None = None
    overflow: str = SATURATE

    def narrow(self, name: str) -> bool:
        """Whether the sum of this name may not fit."""
        return self.bits is not None and self.bits < self.proved[name]


Overflows = dict[str, int]
"""Sums that did not fit, by name."""


def products(rows: Whole, columns: Whole, name: str, sums: Accumulators, counted: Overflows) -> Whole:
    """``rows @ columns``, (R, I) and (I, N) to (R, N)."""
    if not sums.narrow(name):
        return exact_products(rows, columns, sums.proved[name])
    if sums.overflow == WRAP:
        return _wrapped(exact_products(rows, columns), name, sums, counted)
    return _saturating_products(rows, columns, name, sums, counted)


def exact_products(rows: Codes, columns: Codes, bits: int = WORD_BITS) -> Whole:
    """``rows @ columns`` as int64; what no row has is left out, and so are rows of zeros.

    ``bits``: proved of every partial sum; where 32 do, they are summed in 32, which takes a third of the time.
    """
    kind = np.int32 if bits <= NARROW_BITS else np.int64
    used, busy = np.flatnonzero(rows.any(0)), np.flatnonzero(rows.any(1))
    out = np.zeros((len(rows), columns.shape[1]), np.int64)
    if used.size and busy.size:
        part = rows if used.size == rows.shape[1] and busy.size == len(rows) else rows[np.ix_(busy, used)]
        # einsum runs along the columns; numpy's matmul of integers goes down them
        found = np.einsum("ri,in->rn", part.astype(kind, copy=False), columns[used].astype(kind))
        assert found.dtype == kind
        out[busy] = found
    return out


def total(terms: list[Whole], name: str, sums: Accumulators, counted: Overflows) -> Whole:
    """The sum of ``terms``, added in their order."""
    if not sums.narrow(name) or sums.overflow == WRAP:
        found = sum(terms[1:], start=terms[0])
        return _wrapped(found, name, sums, counted) if sums.narrow(name) else found
    found, left = _held(terms[0], sums)
    for term in terms[1:]:
        found, beyond = _held(found + term, sums)
        left = left | beyond
    _count(left, name, counted)
    return found


def _held(x: Whole, sums: Accumulators) -> tuple[Whole, Truths]:
    """Saturated, and which were beyond."""
    assert sums.bits is not None
    end = 1 << (sums.bits - 1)
    held = np.clip(x, -end, end - 1)
    return held, held != x


def _saturating_products(rows: Whole, columns: Whole, name: str, sums: Accumulators, counted: Overflows) -> Whole:
    found = np.zeros((len(rows), columns.shape[1]), np.int64)
    left = np.zeros(found.shape, np.bool_)
    for place in np.flatnonzero(rows.any(0)):
        found, beyond = _held(found + rows[:, place, None] * columns[place], sums)
        left = left | beyond
    _count(left, name, counted)
    return found


def _wrapped(x: Whole, name: str, sums: Accumulators, counted: Overflows) -> Whole:
    """Modulo 2^bits, into the signed range."""
    assert sums.bits is not None
    end = 1 << (sums.bits - 1)
    found = ((x + end) & (2 * end - 1)) - end
    _count(found != x, name, counted)
    return found


def _count(left: Truths, name: str, counted: Overflows) -> None:
    counted[name] = counted.get(name, 0) + int(np.count_nonzero(left))
