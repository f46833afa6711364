"""An operation, or an access to a memory, and how often it happens."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from qsnn.hardware.table import Hardware, Operand

ADD, MULTIPLY, READ, WRITE = "add", "multiply", "read", "write"
WEIGHTS, STATES, HISTORY = "weights", "states", "history"
"""What a memory holds: weights with all that is kept for each of them; states; what is kept of every step."""
Sizes = dict[str, float]


class Count(NamedTuple):
    """``number`` of operations, or of values read or written; ``bits`` of the operands, None in full precision; ``memory``:
    what an access goes to. ``formula``: names, then numbers."""

    name: str
    kind: str
    number: float
    bits: tuple[Operand, ...]
    formula: str
    memory: str = ""

    def times(self, factor: float, name: str) -> "Count":
        """So many times as often, for instance of all samples of a batch."""
        if factor == 1:
            return self
        left, right = self.formula.split(" = ", 1)
        return self._replace(number=self.number * factor, formula=f"{left} * {name} = {right} * {factor:.7g}")

    def picojoule(self, hardware: Hardware, places: dict[str, str]) -> float:
        """By a table; ``places``: which of its memories holds what."""
        if self.kind == ADD:
            return self.number * hardware.add(self.bits[0])
        if self.kind == MULTIPLY:
            return self.number * hardware.multiply(*self.bits)
        return hardware.access(self.number * width(self.bits[0]), places[self.memory])


def width(bits: Operand) -> int:
    """Of a value in a memory: 32 bits in full precision."""
    return 32 if bits is None else bits


def count(name: str, kind: str, sizes: Sizes, bits: Operand | tuple[Operand, ...], memory: str = "") -> Count:
    """As often as the product of ``sizes``."""
    operands = bits if isinstance(bits, tuple) else (bits,)
    formula = f"{' * '.join(sizes)} = {' * '.join(f'{size:.7g}' for size in sizes.values())}"
    return Count(name, kind, math.prod(sizes.values()), operands, formula, memory)


def accesses(name: str, sizes: Sizes, bits: Operand, memory: str) -> Iterator[Count]:
    """Each value is read once and written once."""
    for kind in (READ, WRITE):
        yield count(name, kind, sizes, bits, memory)


def products(name: str, sizes: Sizes, factors: tuple[Operand, Operand], total: Operand) -> Iterator[Count]:
    """Each a multiplication, and an addition to a sum of ``total`` bits."""
    yield count(name, MULTIPLY, sizes, factors)
    yield count(name, ADD, sizes, total)


def summed(bits: Operand, terms: float) -> Operand:
    """Bits of a sum of so many values of ``bits``: ``bits + ceil(log2(terms))``."""
    return None if bits is None else bits + max(0, math.ceil(math.log2(max(1, terms))))


def wider(*operands: Operand) -> Operand:
    """The widest; None, of floats, if any is."""
    known = [bits for bits in operands if bits is not None]
    return None if len(known) < len(operands) else max(known)


def plus(first: Operand, second: Operand) -> Operand:
    """Bits of a product."""
    return None if first is None or second is None else first + second


def address(places: int) -> int:
    """Bits of the number of one of so many places, which a spike carries."""
    return max(1, (places - 1).bit_length())


def decay(name: str, sizes: Sizes, factor: object, bits: Operand) -> Iterator[Count]:
    """A state times a factor: nothing for 0 and 1, a shift and an addition for 1 - 2^-k and a shift for 2^-k on a grid, else a
    multiplication by a factor of the state's width; so of a factor that is not known."""
    value = float(factor) if isinstance(factor, int | float) else None
    if value in (0.0, 1.0) or (bits is not None and value is not None and _is_power_of_two(value)):
        return
    shifts = bits is not None and value is not None and _is_power_of_two(1 - value)
    yield count(name, ADD if shifts else MULTIPLY, sizes, bits if shifts else (bits, bits))


def _is_power_of_two(value: float) -> bool:
    return value > 0 and math.frexp(value)[0] == 0.5
