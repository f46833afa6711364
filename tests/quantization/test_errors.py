"""Quantized errors: the power of two they are divided by, and the golden vectors."""

import math
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from qsnn.quantization import quantize_error, shift


@given(st.floats(2.0**-120, 2.0**120, width=32))
def test_shift_is_the_nearest_power_of_two_on_a_log_scale(m: float) -> None:
    power = shift(torch.tensor(m)).item()
    exponent = math.log2(power)
    assert exponent == int(exponent)
    assert abs(math.log2(m) - exponent) <= 0.5 + 1e-12


def test_shift_is_exact_beside_the_square_root_of_two() -> None:
    root = torch.tensor(math.sqrt(2.0), dtype=torch.float32)
    below, above = torch.nextafter(root, torch.tensor(0.0)), torch.nextafter(root, torch.tensor(9.0))
    assert [shift(m).item() for m in (below, above)] == [1.0, 2.0]


def test_shift_is_one_for_zero_and_shows_nan_and_inf() -> None:
    assert shift(torch.tensor(0.0)) == 1
    assert shift(torch.tensor(float("nan"))).isnan()
    assert shift(torch.tensor(float("inf"))).isinf()


@given(st.integers(2, 16), st.integers(-60, 60))
def test_quantize_error_depends_on_relative_size_only(bits: int, exponent: int) -> None:
    error = torch.tensor([0.3, -0.7, 0.01, 0.0])
    assert torch.equal(quantize_error(error, bits), quantize_error(error * 2.0**exponent, bits))


def test_quantize_error_equals_the_golden_vectors(golden: Path) -> None:
    with np.load(golden / "quantizers.npz", allow_pickle=False) as file:
        x = torch.from_numpy(file["x"])
        for key in file.files:
            name, _, bits = key.rpartition("_b")
            factor = {"error": 3.7, "error_small": 1e-6, "error_zero": 0.0}.get(name)
            if factor is None:
                continue
            expected = torch.from_numpy(file[key])
            ours = quantize_error(torch.zeros_like(expected) if factor == 0 else factor * x, int(bits))
            defined = torch.ones_like(expected, dtype=torch.bool) if int(bits) > 1 else x != 0
            assert torch.equal(ours[defined], expected[defined]), key
