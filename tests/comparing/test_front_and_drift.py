"""Which rows no other beats, which cost the same, and how far rates have moved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qsnn.comparing.drift import earth_movers_distance
from qsnn.comparing.front import groups_of_equal, pareto_front

sizes = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


def test_pareto_front_keeps_equals_and_leaves_out_what_is_beaten() -> None:
    points = [(1, 5), (2, 3), (2, 4), None, (3, 3), (4, 1), (4, 1), (9, 2)]
    assert pareto_front(points) == {0, 1, 5, 6}


@given(sizes)
@settings(max_examples=60, deadline=None)
def test_pareto_front_is_what_nothing_dominates(points: list[tuple[int, int]]) -> None:
    beaten = {place for place, a in enumerate(points) if any(b[0] <= a[0] and b[1] <= a[1] and b != a for b in points)}
    assert pareto_front(points) == set(range(len(points))) - beaten


def test_groups_of_equal_costs_reach_two_percent_from_their_smallest() -> None:
    assert groups_of_equal([100, 300, 102, 103, None, 99, 300]) == [[5, 0], [2, 3], [1, 6]]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.lists(st.floats(0, 1), min_size=1, max_size=9))
@settings(max_examples=60, deadline=None)
def test_earth_movers_distance_is_that_of_scipy(first: list[float], second: list[float]) -> None:
    expected = stats.wasserstein_distance(first, second)
    assert earth_movers_distance(np.array(first), np.array(second)) == pytest.approx(expected, abs=1e-12)
