"""What operations and accesses cost: a table in picojoule, the config group ``hardware``. Imports nothing that takes time.

The figures of `hardware=horowitz_45nm` are those of M. Horowitz, "Computing's energy problem (and what we can do about it)",
ISSCC 2014, 45 nm at 0.9 V. Other widths than its own follow from them, as adders grow linearly and multipliers with the product
of their operands' widths:

    add(b)          b / 8 * add_int8 up to 8 bits; linear in b through add_int8 and add_int32; b / 32 * add_int32 from 32
    multiply(a, b)  p = a * b; p / 64 * multiply_int8 up to 64; linear in p through multiply_int8 (64), multiply_int32 (1024);
                    p / 1024 * multiply_int32 from there

An operand in full precision makes it an operation of floats, `floats`. An access of b bits costs b / access_bits of an access:
what is read together lies together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from qsnn.options import impossible, key

FIGURE = "pJ"
COMPLETE = "hardware=horowitz_45nm, which has all"
ADVICE = f"give its picojoule, or choose {COMPLETE}"
MOST_TOLD = 2
"""Figures that are told of in a line each; more are told together."""
SMALL, LARGE = 8, 32
"""Bits of the two integers that the table has figures of."""
Operand = int | None


@dataclass
class Hardware:
    """What an operation and an access cost, in picojoule; a table of one's own gives every figure."""

    name: str | None = key(None, "what the table is called in summaries and tables")
    source: str | None = key(None, "where its figures are from")
    add_int8: float | None = key(None, "addition of integers of 8 bits", FIGURE, at_least=0)
    add_int32: float | None = key(None, "of 32 bits; other widths: linear", FIGURE, at_least=0)
    add_fp16: float | None = key(None, "of floats of 16 bits", FIGURE, at_least=0)
    add_fp32: float | None = key(None, "of floats of 32 bits", FIGURE, at_least=0)
    multiply_int8: float | None = key(None, "multiplication of integers of 8 bits", FIGURE, at_least=0)
    multiply_int32: float | None = key(
        None, "of 32 bits; other widths: linear in the product of both, so quadratic", FIGURE, at_least=0
    )
    multiply_fp16: float | None = key(None, "of floats of 16 bits", FIGURE, at_least=0)
    multiply_fp32: float | None = key(None, "of floats of 32 bits", FIGURE, at_least=0)
    floats: str = key(
        "fp32", "which floats full precision computes with; its memory is 32 bits", choices=("fp16", "fp32")
    )
    sram_kib: list[float] = key([], "sizes of the on-chip memories, ascending", "KiB", above=0)
    sram_access: list[float] = key([], "one access of each", FIGURE, at_least=0)
    dram_access: float | None = key(
        None, "one access of the memory for all that fits into none of them", FIGURE, at_least=0
    )
    access_bits: int = key(
        64, "bits of an access; some models charge it for every 32", "bits", at_least=1, at_most=4096
    )

    def problems(self) -> Iterator[str]:
        """Figures that are missing, and memories that are no list of sizes with what they cost."""
        figures = [entry.name for entry in fields(self) if entry.metadata["unit"] == FIGURE]
        lacking = [name for name in figures if getattr(self, name) is None]
        if len(lacking) > MOST_TOLD:
            listed = ", ".join([*(() if self.name else ("name",)), *lacking])
            yield f"hardware: the table lacks {listed}: give them, figures in picojoule, or choose {COMPLETE}"
        else:
            for name in lacking:
                yield impossible(f"hardware.{name}", None, f"the table lacks this figure: {ADVICE}")
            if not self.name:
                yield impossible("hardware.name", self.name, "a table needs a name, such as hardware.name=mine")
        if len(self.sram_kib) != len(self.sram_access):
            wanted = f"hardware.sram_kib has {len(self.sram_kib)} memories: give what an access of each costs"
            yield impossible("hardware.sram_access", self.sram_access, wanted)
        if sorted(set(self.sram_kib)) != list(self.sram_kib):
            yield impossible("hardware.sram_kib", self.sram_kib, "give the sizes in ascending order, each once")

    def add(self, bits: Operand) -> float:
        """An addition, subtraction or comparison of so many bits; None: of floats."""
        if bits is None:
            return self._figure(f"add_{self.floats}")
        return _between(bits, (SMALL, self._figure("add_int8")), (LARGE, self._figure("add_int32")))

    def multiply(self, first: Operand, second: Operand) -> float:
        """A multiplication of operands of so many bits."""
        if first is None or second is None:
            return self._figure(f"multiply_{self.floats}")
        small, large = (SMALL**2, self._figure("multiply_int8")), (LARGE**2, self._figure("multiply_int32"))
        return _between(first * second, small, large)

    def memory_for(self, bits: int) -> str:
        """The smallest memory that holds so many bits: ``8 KiB``, ..., or ``DRAM``."""
        return next((f"{size:g} KiB" for size in self.sram_kib if bits <= size * 1024 * 8), "DRAM")

    def access(self, bits: float, memory: str) -> float:
        """So many bits to or from one of the memories that `memory_for` names."""
        costs = {f"{size:g} KiB": cost for size, cost in zip(self.sram_kib, self.sram_access, strict=True)}
        return bits / self.access_bits * costs.get(memory, self._figure("dram_access"))

    def _figure(self, name: str) -> float:
        value: float | None = getattr(self, name)
        assert value is not None  # `problems` are told before
        return value


def _between(size: float, small: tuple[float, float], large: tuple[float, float]) -> float:
    """Proportional below ``small`` and above ``large``, (size, cost) each, and straight between them."""
    if size <= small[0]:
        return small[1] * size / small[0]
    if size >= large[0]:
        return large[1] * size / large[0]
    return small[1] + (large[1] - small[1]) * (size - small[0]) / (large[0] - small[0])
