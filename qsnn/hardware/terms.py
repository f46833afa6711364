"""A term of a memory: how many values there are of a kind, and how wide each is."""

import math
from typing import NamedTuple

from qsnn.quantization.bit_widths import FULL_PRECISION_BITS

Width = tuple[str, int | None]
"""Name of a width and its bits; None is full precision."""


class Term(NamedTuple):
    """``bits`` of one sample or, of what samples share, in all; ``at_32_bits``: of the same in full precision.

    ``formula``: names, then numbers. ``per_sample``: a batch needs it once a sample. ``inference``: also without training.
    """

    name: str
    formula: str
    bits: int
    at_32_bits: int
    per_sample: bool
    inference: bool

    def at(self, batch_size: int) -> tuple[int, int]:
        """``bits`` and ``at_32_bits`` of a batch."""
        samples = batch_size if self.per_sample else 1
        return self.bits * samples, self.at_32_bits * samples


def term(
    name: str, sizes: dict[str, int], width: Width, *,
    full: int = FULL_PRECISION_BITS, per_sample: bool = False, inference: bool = False,
) -> Term:  # fmt: skip
    """``sizes[0] * sizes[1] * ... * width`` bits; ``full``: the width that full precision has in its place."""
    bits = full if width[1] is None else width[1]
    names, numbers = [*sizes, width[0]], [*sizes.values(), bits]
    formula = f"{' * '.join(names)} = {' * '.join(map(str, numbers))}"
    count = math.prod(sizes.values())
    return Term(name, formula, count * bits, count * full, per_sample, inference)
