"""Operations and accesses of an update, the same for both ways to learn: of a tensor of n weights, docs/cost.md.

gradients      n * G bits written and read: the sums under way are held until they are whole
rounding       of quantized gradients: the largest of n, eta * n where eta is no power of two, n comparisons with a random
               number of rng_bits, and the stream's key and position read and written
rule           `OPERATIONS` for each weight, on the grid where SGD keeps the weights there, else of floats
weights        stored ones read and written, slots too; the quantized weights written
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from qsnn.dynamics import UpdateRule
from qsnn.dynamics.weight_updates import SGD, Adam, Adamax
from qsnn.hardware.counts.count import ADD, MULTIPLY, WEIGHTS, WRITE, Count, Operand, accesses, count
from qsnn.hardware.learning import STREAM_WORDS, WORD_BITS, Learning, Trained, gradient_bits, slot_bits, stored_bits
from qsnn.kernels.backend import GradientRounding
from qsnn.quantization.bit_widths import FULL_PRECISION_BITS


class RuleOperations(NamedTuple):
    """For each weight; a root and a division are counted as a multiplication."""

    adds: int
    multiplies: int


OPERATIONS: dict[type, RuleOperations] = {Adam: RuleOperations(4, 9), Adamax: RuleOperations(4, 5)}


def operations_of(rule: UpdateRule) -> RuleOperations:
    """Of a rule that is not known here: one of each for the weight and for each slot. A momentum in integers is a shift and
    an addition."""
    if isinstance(rule, SGD):
        shifts = rule.num_slots if rule.step else 0
        return RuleOperations(1 + rule.num_slots + shifts, rule.num_slots - shifts + (rule.lr != 1))
    return OPERATIONS.get(type(rule), RuleOperations(1 + rule.num_slots, 1 + rule.num_slots))


def update_of(layer: str, trained: Trained, learning: Learning, sum_bits: Operand) -> Iterator[Count]:
    """One update of a tensor of ``layer``. ``sum_bits``: of its gradient before rounding."""
    rounding, rule, n = learning.rounding[layer], learning.rule, {trained.name: float(trained.num)}
    name = trained.name
    yield from accesses(f"gradients of {name}", n, gradient_bits(rounding), WEIGHTS)
    if rounding.gradient_bits is not None:
        yield from _rounding(name, n, rounding, sum_bits)
    stored = stored_bits(trained, rounding, learning)
    grid = None if stored == FULL_PRECISION_BITS else stored
    adds, multiplies = operations_of(rule)
    yield count(f"update of {name}", ADD, {**n, "additions": adds}, grid)
    if multiplies:
        yield count(f"update of {name}", MULTIPLY, {**n, "multiplications": multiplies}, (grid, grid))
    yield from accesses(f"stored {name}", n, stored, WEIGHTS)
    if rule.num_slots:
        sizes = {**n, "slots": float(rule.num_slots)}
        yield from accesses(f"optimizer slots of {name}", sizes, slot_bits(rounding, rule), WEIGHTS)
    if trained.weight_bits is not None:
        yield count(f"quantized {name}", WRITE, n, trained.weight_bits, WEIGHTS)


def _rounding(name: str, n: dict[str, float], rounding: GradientRounding, sum_bits: Operand) -> Iterator[Count]:
    yield count(f"largest gradient of {name}", ADD, n, sum_bits)
    if math.frexp(rounding.eta)[0] != 0.5:
        yield count(f"eta times gradients of {name}", MULTIPLY, n, (sum_bits, rounding.rng_bits))
    yield count(f"random numbers for {name}", ADD, n, rounding.rng_bits)
    words = {"words": float(STREAM_WORDS)}
    yield from accesses(f"random state of {name}", words, WORD_BITS, WEIGHTS)
