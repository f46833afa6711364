"""From which share of zero codes on one scheme takes fewer bits than another. Of a dense layer, I inputs by N neurons.

With Z codes that are not zero, a pointer of p = ceil(log2(Z + 1)) bits and an index of c = ceil(log2(N)), fewer bits has

    pb_bmp than crossbar      Z < I * (N * (b - 1) - p) / b           sparsity above about 1/b + p/(N b)
    pb_csr than crossbar      Z < (I * N * b - (I + 1) * p) / (c + b)  above about c/(c + b)
    pb_csr than pb_bmp        Z < (I * N - p) / c                      above about 1 - 1/c, whatever the width
    pb_signs than crossbar    Z < I * (N - p), at 2 bits               above about p/N

p belongs to Z: it is the same for Z of 2^(p-1) to 2^p - 1. So each p has its own largest Z, and the largest of them counts:
more codes that are not zero never take fewer bits.
"""

from collections.abc import Callable

from qsnn.hardware.storage.schemes import SIGNS, index_bits

PAIRS = (("pb_bmp", "crossbar"), ("pb_csr", "crossbar"), ("pb_csr", "pb_bmp"))
"""The first of each is the one that zeros help more."""


def most_nonzero(pair: tuple[str, str], inputs: int, neurons: int, bits: int) -> int | None:
    """The largest Z with which the first scheme of ``pair`` takes fewer bits than the second; None if there is none."""
    within = _bound(pair, inputs, neurons, bits)
    best, largest = None, inputs * neurons
    for pointer in range(largest.bit_length() + 1):
        low, high = (1 << pointer) >> 1, (1 << pointer) - 1
        found = min(high, largest, within(pointer))
        if found >= low:
            best = found
    return best


def crossover(pair: tuple[str, str], inputs: int, neurons: int, bits: int) -> float | None:
    """The sparsity from which on the first scheme takes fewer bits; None: it never does."""
    most = most_nonzero(pair, inputs, neurons, bits)
    return None if most is None else 1 - most / (inputs * neurons)


def _bound(pair: tuple[str, str], inputs: int, neurons: int, bits: int) -> Callable[[int], int]:
    """By p, the largest Z below the bound; -1 if there is none."""
    pairs, index = inputs * neurons, index_bits(neurons)
    numerators: dict[tuple[str, str], tuple[Callable[[int], int], int]] = {
        ("pb_bmp", "crossbar"): (lambda p: pairs * (bits - 1) - inputs * p, bits),
        (SIGNS, "crossbar"): (lambda p: pairs * (bits - 1) - inputs * p, 1),
        ("pb_csr", "crossbar"): (lambda p: pairs * bits - (inputs + 1) * p, index + bits),
        ("pb_csr", "pb_bmp"): (lambda p: pairs - p, index),
    }
    left, each = numerators[pair]

    def within(pointer: int) -> int:
        room = left(pointer)
        if room <= 0:
            return -1
        return (room - 1) // each if each else pairs

    return within
