"""Sums that are checked against the width that was proved for them, and products of codes in the narrowest words that hold them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from qsnn.deploy.arithmetic import Codes, Whole

NARROW_BITS = 32


class Held(NamedTuple):
    """The signed bits of every sum of a layer, by name, all partial sums included."""

    layer: str
    bits: Mapping[str, int]

    def check(self, name: str, x: Whole) -> Whole:
        """``x`` itself. Raises OverflowError for a number that the accumulator ``name`` would not hold: its proof is wrong then."""
        end = 1 << (self.bits[name] - 1)
        if x.size and (int(x.max()) >= end or int(x.min()) < -end):
            raise OverflowError(
                f"{name} of layer {self.layer} reaches {int(x.min())} .. {int(x.max())}, not {self.bits[name]} bits"
            )
        return x

    def products(self, name: str, rows: Codes, columns: Codes) -> Whole:
        """``rows @ columns``, (R, I) and (I, N) to (R, N), int64; summed in 32 bits where the proof allows it. Rows and columns of
        zeros are left out, as they change nothing."""
        kind = np.int32 if self.bits[name] <= NARROW_BITS else np.int64
        out = np.zeros((len(rows), columns.shape[1]), np.int64)
        used, busy = np.flatnonzero(rows.any(0)), np.flatnonzero(rows.any(1))
        if used.size and busy.size:
            part = rows if used.size == rows.shape[1] and busy.size == len(rows) else rows[np.ix_(busy, used)]
            found = np.einsum("ri,in->rn", part.astype(kind), columns[used].astype(kind))
            assert found.dtype == kind
            out[busy] = found
        return self.check(name, out)
