r"""Confidence intervals of paired differences, and what they say about a margin.

Notation: S seeds, n test recordings, d_si in {-1, 0, 1} the difference of two configurations on recording i at seed s (rightly
classified counts 1), d its mean; s_seed^2 the sample variance of the seeds' means, s_rec^2 that of the recordings' means.

- *recordings and seeds*: both are drawn, and crossed. The variance of d is estimated by
  V = s_seed^2 / S + s_rec^2 / n (what belongs to one recording at one seed is in both terms: rather too wide than too narrow),
  with Satterthwaite's degrees of freedom V^2 / ((s_seed^2 / S)^2 / (S - 1) + (s_rec^2 / n)^2 / (n - 1)); d -+ t sqrt(V).
- *recordings*: of one seed. d -+ t s_rec / sqrt(n), and McNemar's exact test. It says nothing about other seeds.
- *seeds*: where no predictions are kept, or the figure is none of recordings: Student's t on the S differences.

Sources: McNemar 1947; Satterthwaite 1946; the crossed design, and why a bootstrap over few seeds is too narrow: Owen 2007, "The
pigeonhole bootstrap". docs/decisions/0030-reports.md has coverages that were measured.
"""

import math
from statistics import NormalDist, fmean, variance
from typing import Any, NamedTuple

from numpy.typing import NDArray

LARGE_DEGREES = 1e5
"""From here on the normal distribution is as good as Student's, to 1e-5."""


class Interval(NamedTuple):
    """``mean`` difference, and from ``low`` to ``high`` what it may be at the confidence that was asked for, None where one
    value does not tell. ``p_value``: McNemar's, where it was made."""

    mean: float
    low: float | None
    high: float | None
    method: str
    p_value: float | None = None


def student_cdf(t: float, degrees: float) -> float:
    """P(T <= t) of Student's t, for any number of degrees of freedom above 0.

    The tail is I_x(nu/2, 1/2) / 2 with x = nu / (nu + t^2), I the regularized incomplete beta function. Source: Abramowitz &
    Stegun 26.7.1 and 26.5.
    """
    if degrees > LARGE_DEGREES:
        return NormalDist().cdf(t)
    tail = 0.5 * incomplete_beta(degrees / (degrees + t * t), degrees / 2, 0.5)
    return 1 - tail if t > 0 else tail


def incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), by its continued fraction, from the end on. Source: Abramowitz & Stegun 26.5.8."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, its mirror image converges fast
        return 1 - incomplete_beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    value = 1.0
    for m in range(100 + int(3 * math.sqrt(max(a, b))), -1, -1):
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)) if m else 0.0
        value = 1 + odd / value
        value = 1 + even / value if m else value
    return front / a / value


def student_quantile(p: float, degrees: float) -> float:
    """The t that a Student variable stays below with probability ``p`` in (0, 1), by bisection of `student_cdf`."""
    if p < 0.5:
        return -student_quantile(1 - p, degrees)
    low, high = 0.0, 1.0
    while student_cdf(high, degrees) < p and high < 1e300:
        high *= 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, degrees) < p else (low, middle)
    return (low + high) / 2


def by_seeds(differences: list[float], confidence: float) -> Interval:
    """Of one difference a seed."""
    S, mean = len(differences), fmean(differences)
    if S < 2:
        return Interval(mean, None, None, "one seed, no interval")
    half = student_quantile((1 + confidence) / 2, S - 1) * math.sqrt(variance(differences) / S)
    return Interval(mean, mean - half, mean + half, f"t over {S} seeds")


def by_recordings(differences: NDArray[Any], confidence: float) -> Interval:
    """Of d_si (S, n)."""
    S, n = differences.shape
    mean = float(differences.mean())
    if n < 2:
        return by_seeds(differences.mean(1).tolist(), confidence)
    recordings = float(differences.mean(0).var(ddof=1)) / n
    seeds = float(differences.mean(1).var(ddof=1)) / S if S > 1 else 0.0
    total = recordings + seeds
    degrees = n - 1.0
    if S > 1 and total > 0:
        degrees = total**2 / (seeds**2 / (S - 1) + recordings**2 / (n - 1))
    half = student_quantile((1 + confidence) / 2, degrees) * math.sqrt(total)
    if S > 1:
        return Interval(mean, mean - half, mean + half, f"{n} recordings and {S} seeds")
    return Interval(mean, mean - half, mean + half, f"{n} recordings, one seed", mcnemar(differences[0]))


def mcnemar(differences: NDArray[Any]) -> float:
    """The two-sided exact p-value that both configurations err equally often: of b + c recordings on which one alone is right,
    b are binomial with 1/2."""
    b, c = int((differences > 0).sum()), int((differences < 0).sum())
    m, least = b + c, min(b, c)
    if m == 0:
        return 1.0
    logs = [
        math.lgamma(m + 1) - math.lgamma(k + 1) - math.lgamma(m - k + 1) - m * math.log(2) for k in range(least + 1)
    ]
    return min(1.0, 2 * sum(map(math.exp, logs)))


def verdict(interval: Interval, margin: float) -> str:
    """Whether the first is as good as the second within ``margin``: "yes" if all of the interval says that it loses less than
    that, "no" if all of it says that it loses more, else "undecided". Differences are above 0 where the first is better."""
    if interval.low is None or interval.high is None:
        return "undecided"
    return "yes" if interval.low > -margin else "no" if interval.high < -margin else "undecided"
