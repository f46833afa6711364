"""How a learning rate falls over the epochs of a run: a factor in [0, 1] for each."""

import math
from collections.abc import Callable


def _constant(progress: float, num_halvings: int) -> float:
    """1."""
    return 1.0


def _cosine(progress: float, num_halvings: int) -> float:
    """(1 + cos(pi p)) / 2 [Loshchilov & Hutter 2017, equation 5, without restarts]."""
    return (1 + math.cos(math.pi * progress)) / 2


def _linear(progress: float, num_halvings: int) -> float:
    """1 - p."""
    return 1 - progress


def _halving(progress: float, num_halvings: int) -> float:
    """2^-floor(p (k + 1)) for k halvings: in integer hardware one more shift to the right at a time."""
    return 2.0 ** -int(progress * (num_halvings + 1))


SCHEDULES: dict[str, Callable[[float, int], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "halving": _halving,
}


def schedule_factor(schedule: str, epoch: int, epochs: int, num_halvings: int) -> float:
    """Factor of ``epoch`` (1 .. ``epochs``) by one of `SCHEDULES`, with progress p = (epoch - 1) / epochs."""
    return SCHEDULES[schedule]((epoch - 1) / epochs, num_halvings)
