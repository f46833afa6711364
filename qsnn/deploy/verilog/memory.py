"""Text of memory files: hexadecimal words, one a line, that $readmemh reads."""

from collections.abc import Iterable

from qsnn.deploy.arithmetic import Whole


def words(values: Iterable[int], bits: int) -> str:
    """Each in two's complement of ``bits``."""
    digits, mask = -(-bits // 4), (1 << bits) - 1
    return "".join(f"{value & mask:0{digits}x}\n" for value in values)


def codes(array: Whole, bits: int) -> str:
    """Codes in their order; of signed codes of one bit a 0 stands for -1."""
    flat = array.ravel()
    return words(((flat + 1) >> 1 if bits == 1 else flat).tolist(), bits)


def vectors(rows: Whole) -> str:
    """Rows (T, N) of 0 and 1: a word of N bits each, the first in the least significant."""
    count = rows.shape[1]
    return words((sum(1 << place for place in row.nonzero()[0].tolist()) for row in rows), count)


def named(values: dict[str, int]) -> str:
    """Words of 64 bits, each behind a comment with its name."""
    return "".join(f"// {name} = {value}\n{words([value], 64)}" for name, value in values.items())
