"""Initial weights and attenuation."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from qsnn.quantization import initial_weights, quantize, random_stream, symmetric, weight_init


def test_weight_init_equals_the_golden_table(golden: Path) -> None:
    with np.load(golden / "init_scale.npz", allow_pickle=False) as file:
        columns, rows = file["columns"].tolist(), file["rows"]
    assert len(rows) > 0
    for row in rows:
        entry = dict(zip(columns, row, strict=True))
        init = weight_init(int(entry["fan_in"]), int(entry["weight_bits"]), entry["beta"])
        assert init.limit == pytest.approx(entry["limit"], rel=1e-7)
        assert init.scale == entry["scale"]


def test_weight_init_uses_the_pattern_experiments_beta_by_default() -> None:
    assert weight_init(784, 4) == weight_init(784, 4, 7.5)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, None])
def test_weight_init_of_a_smallest_weight_is_the_same_at_every_width(bits: int | None) -> None:
    assert weight_init(128, bits, 1.5, quantized_gradients=True, smallest=0.5) == (0.5, 4.0)
    assert weight_init(20, bits, quantized_gradients=True, smallest=0.25) == (math.sqrt(3 / 20), 1.0)
    assert weight_init(300, None, smallest=0.5) == (0.1, 1.0)


def test_weight_init_attenuates_nothing_in_full_precision() -> None:
    assert weight_init(300, None) == (0.1, 1.0)


@pytest.mark.parametrize("fan_in", [2, 48, 784])
def test_weight_init_without_a_weight_format_is_that_of_many_bits_where_gradients_are_quantized(fan_in: int) -> None:
    """So that a learning rate, a share of the weights' range, means the same."""
    init, many = weight_init(fan_in, None, quantized_gradients=True), weight_init(fan_in, 16)
    assert init == (pytest.approx(many.limit, rel=2e-5), many.scale)
    given = weight_init(fan_in, None, 1.5, quantized_gradients=True)
    assert given == weight_init(fan_in, 16, 1.5) == weight_init(fan_in, None)


def test_initial_weights_lie_on_the_state_grid_within_its_range() -> None:
    weights = initial_weights(random_stream(0, "w"), (50, 40), limit=1.5, state_bits=6)
    assert weights.abs().max() == 1 - 2.0**-5
    assert torch.equal(quantize(weights, symmetric(6)), weights)
    assert weights.unique().numel() > 40


def test_initial_weights_are_plain_uniform_in_full_precision() -> None:
    weights = initial_weights(random_stream(0, "w"), (500, 40), limit=0.1, state_bits=None)
    assert weights.abs().max() < 0.1
    assert weights.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)
