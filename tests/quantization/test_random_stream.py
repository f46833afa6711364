"""Random streams: the published generator, random access, and the distribution of rounded numbers."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from qsnn.quantization import RNG_RULES, RandomStream, advance, random_stream, uniform, uniform_codes
from qsnn.quantization.random_stream import _random_bits


def test_random_bits_are_those_of_splitmix64() -> None:
    # First outputs for seed 1234567, as published with the reference implementation's ports.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    bits = _random_bits(RandomStream(1234567), 4, 63, "cpu")
    assert bits.tolist() == [number >> 1 for number in published]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.integers(1, 24))
def test_uniform_codes_drawn_in_parts_are_those_drawn_at_once(key: int, position: int, rng_bits: int) -> None:
    stream = RandomStream(key, position)
    for rng_rule in RNG_RULES:
        whole, after = uniform_codes(stream, (10,), rng_bits, rng_rule)
        first, between = uniform_codes(stream, (4,), rng_bits, rng_rule)
        second, end = uniform_codes(between, (6,), rng_bits, rng_rule)
        assert torch.equal(whole, torch.cat([first, second]))
        assert after == end == advance(stream, 10)


def test_uniform_codes_hit_every_step_equally_but_the_ends_half_as_often() -> None:
    codes, _ = uniform_codes(random_stream(0, "x"), (400_000,), 3, "original")
    shares = torch.bincount(codes.long(), minlength=5) / codes.numel()
    assert torch.allclose(shares, torch.tensor([0.125, 0.25, 0.25, 0.25, 0.125]), atol=0.005)


def test_uniform_codes_of_the_unbiased_rule_are_the_integers_of_the_generator() -> None:
    codes, _ = uniform_codes(random_stream(0, "x"), (400_000,), 3, "unbiased")
    assert torch.allclose(torch.bincount(codes.long()) / codes.numel(), torch.full((8,), 0.125), atol=0.005)
    original, _ = uniform_codes(random_stream(0, "x"), (400_000,), 3, "original")
    assert torch.equal(original.long(), (codes.long() + 1) >> 1)


def test_streams_of_two_names_or_seeds_share_nothing() -> None:
    streams = [random_stream(0, "a"), random_stream(0, "b"), random_stream(1, "a")]
    draws = torch.stack([uniform(stream, (1000,))[0] for stream in streams])
    assert torch.corrcoef(draws).triu(1).abs().max() < 0.1


def test_uniform_has_the_shape_asked_for_and_fills_the_unit_interval() -> None:
    numbers, _ = uniform(random_stream(0, "x"), (300, 200))
    assert numbers.shape == (300, 200)
    assert 0 <= numbers.min() < 0.001
    assert 0.999 < numbers.max() < 1
