"""Intervals of paired differences against scipy and against numbers worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from qsnn.comparing.intervals import Interval, by_recordings, by_seeds, mcnemar, student_quantile, verdict


@pytest.mark.parametrize("degrees", [0.7, 1, 2, 2.5, 4, 29, 150.2, 9e4])
def test_student_quantile_is_that_of_scipy(degrees: float) -> None:
    for p in (0.01, 0.4, 0.6, 0.9, 0.975, 0.9995):
        assert student_quantile(p, degrees) == pytest.approx(stats.t.ppf(p, degrees), rel=1e-8)


def test_student_quantile_of_many_degrees_is_the_normal_one() -> None:
    assert student_quantile(0.975, 1e6) == pytest.approx(1.959963984540054, rel=1e-12)


def test_interval_by_seeds_is_that_of_a_paired_t_test() -> None:
    first, second = [0.91, 0.93, 0.92, 0.95], [0.90, 0.90, 0.93, 0.92]
    expected = stats.ttest_rel(first, second).confidence_interval(0.9)
    found = by_seeds([a - b for a, b in zip(first, second, strict=True)], 0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.method == "t over 4 seeds"


def test_interval_of_one_seed_is_none_without_recordings() -> None:
    assert by_seeds([0.5], 0.95) == Interval(0.5, None, None, "one seed, no interval")


def test_interval_by_recordings_of_one_seed_is_students_with_mcnemars_test() -> None:
    d = np.array([[1, 1, 0, 0, -1, 0, 1, 0, 0, 0]], dtype=float)
    expected = stats.ttest_1samp(d[0], 0).confidence_interval(0.95)
    found = by_recordings(d, 0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((0.2, expected.low, expected.high))
    assert found.p_value == pytest.approx(stats.binomtest(3, 4).pvalue)


def test_interval_by_recordings_and_seeds_adds_both_variances() -> None:
    # Means of seeds 0.5 and 0: variance 1/8, over 2 seeds 1/16. Means of recordings 0.5, 0.5, 0, 0: variance 1/12, over 4 of
    # them 1/48. Together 1/12.
    d = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=float)
    degrees = (1 / 12) ** 2 / (0.0625**2 + (1 / 48) ** 2 / 3)
    half = stats.t.ppf(0.975, degrees) * math.sqrt(1 / 12)
    found = by_recordings(d, 0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25 - half, 0.25 + half))
    assert (found.method, found.p_value) == ("4 recordings and 2 seeds", None)


def test_interval_of_equal_predictions_is_a_point() -> None:
    found = by_recordings(np.zeros((3, 5)), 0.95)
    assert (found.mean, found.low, found.high) == (0, 0, 0)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    for b, c in ((0, 0), (3, 9), (1, 0), (400, 350)):
        expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
        assert mcnemar(np.array([1] * b + [-1] * c + [0, 0])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-0.009, 0.02, "yes"),
        (-0.05, -0.011, "no"),
        (-0.02, 0.03, "undecided"),
        (-0.01, 0.1, "undecided"),
        (None, None, "undecided"),
    ],
)
def test_verdict_asks_where_all_of_the_interval_lies(low: float | None, high: float | None, expected: str) -> None:
    assert verdict(Interval(0.0, low, high, ""), 0.01) == expected
