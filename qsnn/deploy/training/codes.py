"""Errors, random numbers and stochastic rounding in whole numbers. Sources: [WAGE] equations 8 to 11; NUMERICS sections 1 and
6.

E(x)       clamp(rint(x 2^(bits-1) / 2^s)), 2^s the power of two nearest to max|x| on a log scale
random     number n of a stream is mix(key + (n + 1) GAMMA), its uppermost bits (SplitMix64, modulo 2^64)
G(g)       t = rint(|g| 2^(log_eta + rng_bits - s));  sign(g) ((t >> rng_bits) + [t mod 2^rng_bits > u]),  u random
"""

import numpy as np

from qsnn.deploy.arithmetic import Whole, half_even, rounded_code

GAMMA, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
WORD = 2**64
SIGNIFICANT = 24
"""Bits of a weight gradient that training keeps, as a float32 has them; what is beyond is rounded, half to even."""


def largest(x: Whole) -> int:
    """``max|x|``, 0 of nothing."""
    return max(int(x.max()), -int(x.min())) if x.size else 0


def nearest_power(number: int) -> int:
    """``rint(log2 n)``, 0 of 0: one more than floor(log2 n) if 2 n^2 exceeds the power of four above."""
    if number == 0:
        return 0
    bits = number.bit_length()
    return bits if 2 * number * number > 4**bits else bits - 1


def error_codes(x: Whole, bits: int, most: int | None = None) -> Whole:
    """E(x); ``most``: the largest of a tensor of which x is a part, None: of x itself."""
    power = nearest_power(largest(x) if most is None else most)
    return rounded_code(x, power - (bits - 1), bits)


def significant(x: Whole) -> Whole:
    """``x`` with 24 significant bits, rounded half to even."""
    if largest(x) < 1 << SIGNIFICANT:
        return x
    size = np.abs(x)
    for shift in range(int(size.max()).bit_length() - SIGNIFICANT, 0, -1):
        wide = (
            size >> (SIGNIFICANT + shift - 1) == 1
        )  # of these numbers, shift bits go; a carry leaves fewer than would
        size = np.where(wide, half_even(size, shift) << shift, size)
    return np.sign(x) * size


def random_numbers(key: int, drawn: int, count: int, bits: int) -> Whole:
    """The next ``count`` numbers, uniform over 0 .. 2^bits - 1, of a stream of which ``drawn`` are gone; bits up to 63."""
    first = np.uint64((key + (drawn + 1) * GAMMA) % WORD)
    z = np.arange(count, dtype=np.uint64) * np.uint64(GAMMA) + first
    z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
    z = z ^ (z >> np.uint64(31))
    assert z.dtype == np.uint64
    return (z >> np.uint64(64 - bits)).astype(np.int64)


def scaled_gradient(gradient: Whole, log_eta: int, rng_bits: int) -> Whole:
    """t of G."""
    return half_even(np.abs(gradient), nearest_power(largest(gradient)) - log_eta - rng_bits)


def rounded_gradient(gradient: Whole, scaled: Whole, numbers: Whole, rng_bits: int) -> Whole:
    """G, of t and the random numbers."""
    up = (scaled & ((1 << rng_bits) - 1)) > numbers
    return np.sign(gradient) * ((scaled >> rng_bits) + up)


def toward_zero(x: Whole, shift: int) -> Whole:
    """``x 2^-shift``, what is left cut off."""
    return np.sign(x) * (np.abs(x) >> shift)
