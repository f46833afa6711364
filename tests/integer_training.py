"""A training step of quantized nets in whole numbers: int64 codes, no floats, no qsnn. The pass itself is in `integer_nets`.

Loss in fixed point, gradients rounded by a counter generator (SplitMix64), SGD with a momentum that is cut off to codes, and
the clamp of stored weights, all as NUMERICS section 6 has them.
"""

import hashlib
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from integer_nets import Fixed, nearest_power, quantized

GOLDEN, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Stored(NamedTuple):
    """Weight codes on the grid 2^-(gradient_bits-1), the momentum buffer there, and how many numbers were drawn."""

    codes: np.ndarray
    moving: np.ndarray
    drawn: int = 0


class Rule(NamedTuple):
    """``eta = 2^eta_power``; momentum (m, k): m / 2^k."""

    eta_power: int
    gradient_bits: int
    rng_bits: int
    momentum: tuple[int, int]
    seed: int


def quotient(numerator: np.ndarray, shift: int) -> np.ndarray:
    """``numerator / 2^shift`` toward zero."""
    return np.sign(numerator) * (np.abs(numerator) >> shift)


def filtered(x: np.ndarray, decay: tuple[int, int]) -> np.ndarray:
    """``u[t] = trunc(decay * u[t-1]) + x[t]``."""
    out, trace = np.empty_like(x), np.zeros_like(x[0])
    for t, arriving in enumerate(x):
        trace = quotient(decay[0] * trace, decay[1]) + arriving
        out[t] = trace
    return out


def van_rossum(spikes: np.ndarray, target: np.ndarray, decay: tuple[int, int], filter_bits: int) -> np.ndarray:
    """The gradient at spikes (T, B, N)."""
    return filtered(filtered((spikes - target) << filter_bits, decay)[::-1], decay)[::-1]


def softmax_errors(spikes: np.ndarray, labels: np.ndarray, table: list[int]) -> np.ndarray:
    """The gradient at spikes (T, B, K) of cross-entropy; ``table``: rint(2^f exp(-temperature d)), the first entry 2^f."""
    found = np.empty(spikes.shape[1:], np.int64)
    for sample, counts in enumerate(spikes.sum(0).tolist()):
        entries = [table[max(counts) - count] for count in counts]
        for k, entry in enumerate(entries):
            # the quotient table[0] * entry / sum, half up
            quotient, rest = divmod(table[0] * entry, sum(entries))
            found[sample, k] = quotient + (2 * rest >= sum(entries)) - table[0] * (k == labels[sample])
    return np.broadcast_to(found, spikes.shape)


def random_codes(seed: int, name: str, drawn: int, count: int, bits: int) -> np.ndarray:
    """The next numbers of the stream of a gradient, uniform over 0 .. 2^bits - 1."""
    key = int.from_bytes(hashlib.blake2b(f"{seed}/{name}/gradient".encode(), digest_size=8).digest(), "little")
    z = np.array([(key + (drawn + 1 + n) * GOLDEN) % 2**64 for n in range(count)], np.uint64)
    for shift, factor in ((30, MIX_1), (27, MIX_2)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(64 - bits)).astype(np.int64)


def rounded(gradient: np.ndarray, exponent: int, numbers: np.ndarray, rule: Rule) -> np.ndarray:
    """Integers of ``eta * g / shift(max|g|)``, rounded up where the fraction exceeds the number."""
    largest = int(np.abs(gradient).max())
    if not largest:
        return np.zeros_like(gradient)
    # |n| = |codes| * 2^up / 2^down; the exponent of the codes cancels out of g / shift(max|g|)
    down = nearest_power(Fraction(largest)) - rule.eta_power
    size, down = (np.abs(gradient) << max(0, -down)), max(0, down)
    whole, rest = size >> down, size & ((1 << down) - 1)
    fraction = rest << rule.rng_bits
    frac, odd = fraction >> down, fraction & ((1 << down) - 1)
    half = (1 << down) >> 1
    frac = frac + ((odd > half) | ((odd == half) & (half > 0) & (frac & 1 == 1)))
    return np.sign(gradient) * (whole + (frac > numbers))


def updated(name: str, stored: Stored, gradient: np.ndarray, weight_bits: int, rule: Rule) -> tuple[Stored, np.ndarray]:
    """The weights after a step, clamped for the next; and G."""
    count = gradient.size
    numbers = random_codes(rule.seed, name, stored.drawn, count, rule.rng_bits).reshape(gradient.shape)
    step = rounded(gradient, 0, numbers, rule)
    moving = quotient(rule.momentum[0] * stored.moving, rule.momentum[1]) + step
    high = (1 if weight_bits == 1 else 2 ** (weight_bits - 1) - 1) << (rule.gradient_bits - weight_bits)
    return Stored(np.clip(stored.codes - moving, -high, high), moving, stored.drawn + count), step


def computing(stored: Stored, weight_bits: int, attenuation: int, rule: Rule) -> Fixed:
    """The weights that a layer computes with; ``attenuation``: a power of two, by its exponent."""
    weight = quantized(Fixed(stored.codes, rule.gradient_bits - 1), weight_bits)
    return Fixed(weight.codes, weight.exponent + attenuation)
