"""Sums that are checked against the width that was proved for them."""

from collections.abc import Mapping
from typing import NamedTuple

from qsnn.deploy.accumulate import exact_products
from qsnn.deploy.arithmetic import Codes, Whole


class Held(NamedTuple):
    """The signed bits of every sum of a layer, by name, all partial sums included."""

    layer: str
    bits: Mapping[str, int]

    def check(self, name: str, x: Whole) -> Whole:
        """``x`` itself. Raises OverflowError for a number that the accumulator ``name`` would not hold: its proof is wrong
        then."""
        end = 1 << (self.bits[name] - 1)
        if x.size and (int(x.max()) >= end or int(x.min()) < -end):
            raise OverflowError(
                f"{name} of layer {self.layer} reaches {int(x.min())} .. {int(x.max())}, not {self.bits[name]} bits"
            )
        return x

    def products(self, name: str, rows: Codes, columns: Codes) -> Whole:
        """``rows @ columns``, (R, I) and (I, N) to (R, N)."""
        return self.check(name, exact_products(rows, columns, self.bits[name]))
