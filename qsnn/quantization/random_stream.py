"""Random numbers with a seed, a name and a position: SplitMix64 (Steele, Lea & Flood, OOPSLA 2014) by counter.

Number n of a stream is ``mix(key + (n + 1) * GAMMA)``: any part can be drawn without the parts before it, by any
backend and on any device, with the same bits. The whole state is two integers, saved in checkpoints, so that a resumed
run goes on with the very next number. Every tensor has a stream of its own, keyed by (seed, name).
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

RNG_RULES = ("original", "unbiased")
GAMMA = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB


class RandomStream(NamedTuple):
    """State of a stream: its 64-bit key and how many numbers have been drawn."""

    key: int
    position: int = 0


def random_stream(seed: int, name: str) -> RandomStream:
    """The stream of tensor ``name`` in a run with ``seed``, at its beginning."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return RandomStream(int.from_bytes(digest, "little"))


def advance(stream: RandomStream, count: int) -> RandomStream:
    """The stream after ``count`` more numbers."""
    return stream._replace(position=stream.position + count)


def _signed(value: int) -> int:
    """The int64 with the bits of ``value`` modulo 2^64; torch has no unsigned 64-bit arithmetic, but int64 wraps."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Logical shift: the arithmetic one of int64, with the copies of the sign bit removed."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _random_bits(stream: RandomStream, count: int, num_bits: int, device: torch.device | str) -> Tensor:
    """The next ``count`` numbers of the stream: int64 integers, uniform over 0 .. 2^num_bits - 1, num_bits <= 63."""
    first = _signed(stream.key + (stream.position + 1) * GAMMA)
    z = torch.arange(count, dtype=torch.int64, device=device) * _signed(GAMMA) + first
    z = (z ^ _shift_right(z, 30)) * _signed(MIX_1)
    z = (z ^ _shift_right(z, 27)) * _signed(MIX_2)
    z = z ^ _shift_right(z, 31)
    return _shift_right(z, 64 - num_bits)


def uniform(
    stream: RandomStream, shape: Sequence[int], device: torch.device | str = "cpu"
) -> tuple[Tensor, RandomStream]:
    """float32 numbers of Uniform[0, 1) with 24 random bits, and the stream after them."""
    count = math.prod(shape)
    bits = _random_bits(stream, count, 24, device)
    return (bits.to(torch.float32) / 2**24).reshape(tuple(shape)), advance(stream, count)


def check_rng_rule(rng_rule: str) -> None:
    """Raise ValueError for a rule that is none of `RNG_RULES`."""
    if rng_rule not in RNG_RULES:
        raise ValueError(f"rng_rule={rng_rule!r} is not known: {' or '.join(RNG_RULES)}")


def uniform_codes(
    stream: RandomStream, shape: Sequence[int], rng_bits: int, rng_rule: str, device: torch.device | str = "cpu"
) -> tuple[Tensor, RandomStream]:
    """The numbers that stochastic rounding compares with, by a generator ``rng_bits`` wide: float32 integers.

    unbiased: the generator's integers k themselves, uniform over 0 .. 2^rng_bits - 1.
    original: Uniform(0, 1) rounded to step 2^-(rng_bits-1), in units of the step, 0 .. 2^(rng_bits-1): k stands for
    (k + 1/2) / 2^rng_bits, which rounds to (k + 1) >> 1 steps, so that the two ends come half as often as the others, as
    they do for a rounded uniform number. Exact up to 24 bits.
    """
    check_rng_rule(rng_rule)
    count = math.prod(shape)
    codes = _random_bits(stream, count, rng_bits, device)
    if rng_rule == "original":
        codes = (codes + 1) >> 1
    return codes.to(torch.float32).reshape(tuple(shape)), advance(stream, count)
