"""Decay factors."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsnn.dynamics import decay_factor


@pytest.mark.parametrize(("rule", "expected"), [("exponential", math.exp(-0.1)), ("euler", 0.9), ("dyadic", 0.875)])
def test_decay_factor_of_ten_milliseconds_by_each_rule(rule: str, expected: float) -> None:
    assert decay_factor(0.01, 0.001, rule) == pytest.approx(expected, rel=1e-12)


def test_decay_factor_dyadic_gives_the_papers_synaptic_decay() -> None:
    assert decay_factor(0.005, 0.001, "dyadic") == 0.75


@given(st.floats(0.002, 1.0))
def test_decay_factor_dyadic_needs_only_a_shift_and_a_subtraction(tau: float) -> None:
    leak = 1 - decay_factor(tau, 0.001, "dyadic")
    assert math.log2(leak) == int(math.log2(leak))


@pytest.mark.parametrize(("tau", "rule"), [(0.0005, "euler"), (0.0, "dyadic"), (-1.0, "exponential"), (1.0, "typo")])
def test_decay_factor_refuses_what_gives_no_decay(tau: float, rule: str) -> None:
    with pytest.raises(ValueError, match=r"must|unknown"):
        decay_factor(tau, 0.001, rule)
