"""From a time constant in seconds to a decay factor per time step."""

import math
from collections.abc import Callable, Iterator

from qsnn.options import impossible

SHORTEST_STEP, LONGEST_STEP = 1e-9, 1e3  # s
# Beyond, float32 has less than four bits for the difference of a decay from 1, and gains and full scales, which divide by
# powers of it, are wrong or infinite.
MAX_STEPS_OF_TAU = 2**20
MAX_DECAY_BITS = 20  # as many as the longest dyadic decay has


def _exponential(tau: float, dt: float) -> float:
    """exp(-dt/tau): exact for a leak that acts all the time."""
    return math.exp(-dt / tau)


def _euler(tau: float, dt: float) -> float:
    """1 - dt/tau: one step of Euler's method."""
    return 1 - dt / tau


def _dyadic(tau: float, dt: float) -> float:
    """1 - 2^rint(log2(1 - exp(-dt/tau))): in hardware a shift and a subtraction."""
    return 1 - 2.0 ** round(math.log2(1 - math.exp(-dt / tau)))


DECAY_RULES: dict[str, Callable[[float, float], float]] = {
    "exponential": _exponential,
    "euler": _euler,
    "dyadic": _dyadic,
}


def decay_factor(tau: float, dt: float, rule: str) -> float:
    """Decay per step of ``dt`` for the time constant ``tau`` (both in seconds) by one of `DECAY_RULES`.

    tau = 10 ms, dt = 1 ms: exponential 0.9048, euler 0.9, dyadic 0.875 (the values of [ISCAS]).
    Raises ValueError for an unknown rule, for times that are not positive and for a factor outside [0, 1).
    """
    if rule not in DECAY_RULES:
        raise ValueError(f"unknown decay rule {rule!r}; allowed: {', '.join(DECAY_RULES)}")
    if tau <= 0 or dt <= 0:
        raise ValueError(f"tau={tau} and dt={dt} must be positive times in seconds")
    factor = DECAY_RULES[rule](tau, dt)
    if not 0 <= factor < 1:
        raise ValueError(f"tau={tau} and dt={dt} give the decay {factor} by the {rule} rule; it must lie in [0, 1)")
    return factor


def decay_of(tau: float, dt: float, rule: str, factor: float | None, decay_bits: int | None = None) -> float:
    """`decay_factor`, or the ``factor`` that overrides it; with ``decay_bits`` k the nearest m / 2^k below 1."""
    exact = decay_factor(tau, dt, rule) if factor is None else factor
    return exact if decay_bits is None else min(round(exact * 2**decay_bits), 2**decay_bits - 1) / 2**decay_bits


def fraction_bits(factor: float) -> int:
    """k of ``factor = m / 2^k`` with an odd m: every float is such a fraction, but few of them one with a small k."""
    return factor.as_integer_ratio()[1].bit_length() - 1


def inexact_decay(
    group: str, tau_name: str, rule: str, factor_name: str, given: float | None, factor: float, can_round: bool
) -> Iterator[str]:
    """With integer arithmetic: a ``factor`` per step other than m / 2^k, k up to `MAX_DECAY_BITS`, from the key ``given`` or by
    the ``rule``. ``can_round``: whether the group has ``decay_bits``."""
    if fraction_bits(factor) <= MAX_DECAY_BITS:
        return
    wanted = "with quantization.arithmetic=integer a decay is a multiplier over a power of two"
    rounded = f", or set {group}.decay_bits=8, which rounds it" if can_round else ""
    if given is None:
        remedy = f"set {group}.decay=dyadic{rounded}"
        yield impossible(f"{group}.decay", rule, f"{wanted}, {factor:g} of {group}.{tau_name} is none: {remedy}")
    else:
        remedy = f"give a fraction such as {round(factor * 2**8) / 2**8:g}{rounded}"
        yield impossible(f"{group}.{factor_name}", given, f"{wanted}, it is none: {remedy}")


def decay_problems(
    group: str, tau_name: str, tau: float, dt: float, rule: str, factor_name: str, factor: float | None
) -> Iterator[str]:
    """What is wrong with a time constant and the factor that may override it; their keys are ``group``'s."""
    if factor is not None:
        if not 0 <= factor <= 1 - 1 / MAX_STEPS_OF_TAU:
            allowed = "a decay per step lies in [0, 1), at most at 1 - 2^-20; null follows the rule"
            yield impossible(f"{group}.{factor_name}", factor, allowed)
        return
    if tau > dt * MAX_STEPS_OF_TAU:
        yield impossible(f"{group}.{tau_name}", tau, f"it must be above 0 and at most {dt * MAX_STEPS_OF_TAU:g}")
        return
    try:
        decay_factor(tau, dt, rule)
    except (ValueError, OverflowError) as error:
        yield f"{group}.{tau_name}: {error}; use a longer {group}.{tau_name} or a shorter neuron.dt"
