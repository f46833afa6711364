"""Learning-rate schedules."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qsnn.dynamics import SCHEDULES, schedule_factor


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(epochs=st.integers(1, 500), num_halvings=st.integers(1, 12))
def test_schedule_starts_at_one_and_never_rises(schedule: str, epochs: int, num_halvings: int) -> None:
    factors = [schedule_factor(schedule, epoch, epochs, num_halvings) for epoch in range(1, epochs + 1)]
    assert factors[0] == 1
    assert all(0 < later <= earlier for earlier, later in itertools.pairwise(factors))


def test_schedule_halving_is_a_power_of_two_and_halves_as_often_as_told() -> None:
    factors = [schedule_factor("halving", epoch, 100, 3) for epoch in range(1, 101)]
    assert sorted(set(factors)) == [0.125, 0.25, 0.5, 1.0]
    assert [factors.count(f) for f in (1.0, 0.5, 0.25, 0.125)] == [25, 25, 25, 25]


def test_schedule_cosine_is_half_way_down_in_the_middle() -> None:
    assert schedule_factor("cosine", 51, 100, 1) == pytest.approx(0.5)
