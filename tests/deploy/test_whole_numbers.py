"""Rounding shifts, clamps, packed codes and widths, against Python's own integers and fractions."""

from fractions import Fraction

import numpy as np
import pytest
from engine_models import dense, small_model, spikes
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.deploy.accumulate import SATURATE, WRAP, Accumulators, products, total
from qsnn.deploy.arithmetic import (
    clamped,
    code_type,
    half_even,
    half_up,
    highest_code,
    rounded_code,
    signed_bits,
    whole,
)
from qsnn.deploy.packing import pack, packed_size, unpack
from qsnn.deploy.widths import ranges, widths

WORDS = st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20)


@settings(max_examples=30, deadline=None)
@given(WORDS, st.integers(-20, 64), st.integers(1, 16))
def test_rounding_is_that_of_exact_fractions(numbers: list[int], shift: int, bits: int) -> None:
    x = np.array(numbers, np.int64)
    exact = [Fraction(number) * Fraction(2) ** -shift for number in numbers]
    assert half_even(x, shift).tolist() == [round(value) for value in exact]
    if 0 <= shift < 63:
        assert half_up(x, shift).tolist() == [(value + Fraction(1, 2)).__floor__() for value in exact]
    end = highest_code(bits)
    codes = [min(end, max(-end, round(value))) for value in exact]
    assert rounded_code(x, shift, bits).tolist() == ([1 if n >= 0 else -1 for n in numbers] if bits == 1 else codes)


def test_arrays_of_floats_are_refused() -> None:
    with pytest.raises(TypeError, match="an array of float32 where only integers may be"):
        whole(np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(0, 0, 1), (-1, 0, 1), (-1, 1, 2), (-128, 0, 8), (-128, 128, 9), (0, 255, 9)]
)
def test_signed_bits_are_those_of_twos_complement(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits
    assert np.iinfo(code_type(low, high)).bits >= bits


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.booleans(), st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_packed_codes_come_back_in_their_true_width(bits: int, signed: bool, count: int, seed: int) -> None:
    low, high = (-highest_code(bits), highest_code(bits)) if signed else (0, 2**bits - 1)
    codes = np.random.default_rng(seed).integers(low, high, count, endpoint=True)
    codes[codes == 0] = high if signed and bits == 1 else 0
    content = pack(codes, bits, signed)
    assert len(content) == packed_size(count, bits) == -(-count * bits // 8)
    assert (unpack(content, count, bits, signed) == codes).all()


def test_packed_codes_of_two_bits_take_two_bits_in_order() -> None:
    assert pack(np.array([1, -1, 0, 1, -1]), 2) == bytes([0b01_00_11_01, 0b11])


def test_unpacking_refuses_what_packing_never_writes() -> None:
    with pytest.raises(ValueError, match="3 bytes where 4 codes of 4 bits take 2"):
        unpack(b"abc", 4, 4)
    with pytest.raises(ValueError, match="code -8 is below -7"):
        unpack(bytes([0x08]), 1, 4)
    with pytest.raises(ValueError, match="bits after the last code"):
        unpack(bytes([0x81]), 1, 4)
    with pytest.raises(ValueError, match="do not fit 4 bits"):
        pack(np.array([8]), 4)


def test_width_of_a_current_is_reached_and_never_left() -> None:
    layer = dense("hidden", [[7, -7, 3, 0], [5, 2, -1, 6], [1, 1, 1, -4]])
    patterns = np.array([[n >> bit & 1 for bit in range(3)] for n in range(8)])
    sums, found = patterns @ layer.weight.codes, ranges(layer, False)["current"]
    assert (found.low, found.high) == (sums.min(), sums.max())
    signed = np.array([[n // 3**digit % 3 - 1 for digit in range(3)] for n in range(27)]) @ layer.weight.codes
    assert max(abs(signed.min()), signed.max()) == ranges(layer, True)["current"].high
    assert {name: width.bits for name, width in widths(layer, False).items()}["current"] == 5
    assert widths(layer, False)["current"].format_bits == signed_bits(-21, 21)


def test_wrapping_sums_are_those_modulo_the_width() -> None:
    rows, columns, counted = spikes(1, 40, 9)[0].astype(np.int64), np.arange(-40, 41).reshape(9, 9), {}
    exact = rows @ columns
    found = products(rows, columns, "current", Accumulators({"current": 9}, 6, WRAP), counted)
    assert ((found - exact) % 64 == 0).all()
    assert found.min() >= -32
    assert found.max() <= 31
    assert counted["current"] == (found != exact).sum() > 0


def test_saturating_sums_add_one_product_after_another() -> None:
    rows, columns, counted = np.array([[1, 1, 1]]), np.array([[30], [20], [-25]]), {}
    sums = Accumulators({"current": 7}, 6, SATURATE)
    assert products(rows, columns, "current", sums, counted).tolist() == [[6]]  # 30, 31 instead of 50, then 6
    assert total([np.array([30, 3]), np.array([20, 4]), np.array([-25, 5])], "current", sums, counted).tolist() == [
        6,
        12,
    ]
    assert counted == {"current": 2}


def test_clamped_states_have_their_codes() -> None:
    assert clamped(np.array([-9, 0, 9]), 3).tolist() == [-3, 0, 3]
    assert clamped(np.array([-9, 0, 9]), 1).tolist() == [-1, 1, 1]
    assert small_model().layers[0].membrane.bits == 8
