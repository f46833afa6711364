"""A number for all codes of a tensor, which C and numpy compute alike: sum of code times a power of a prime, modulo 2^64."""

import numpy as np

from qsnn.deploy.arithmetic import Codes

PRIME, CHUNK = 0x100000001B3, 2**12


def digest(codes: Codes) -> int:
    """``sum codes[n] PRIME^(size - 1 - n)`` modulo 2^64."""
    powers = np.ones(CHUNK, np.uint64)
    powers[1:] = np.uint64(PRIME)
    powers = np.multiply.accumulate(powers)[::-1]
    flat, found = codes.ravel().astype(np.int64).view(np.uint64), 0
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK]
        found = (found * pow(PRIME, part.size, 2**64) + int((part * powers[-part.size :]).sum())) % 2**64
    return found
