"""How a wrong value is told: the key, the value, what is allowed."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.quantization import RNG_RULES

MAX_BITS, MAX_RNG_BITS = 16, 24
SHORTEST_STEP, LONGEST_STEP = 1e-9, 1e3  # s
# Beyond, float32 has less than four bits for the difference of a decay from 1, and gains and full scales, which divide by
# powers of it, are wrong or infinite.
MAX_STEPS_OF_TAU = 2**20
# Squared and multiplied with each other, such factors stay finite in float32.
MAX_FACTOR = 1e9

Numbers = Iterator[tuple[str, float | None, float, float, bool]]
"""(key, value, lowest, highest, lowest allowed too)"""


Problems = Iterator[str]
"""What is wrong, one message each."""


def unless(condition: bool, name: str, value: Any, allowed: str) -> Problems:
    """The message about a value for which ``condition`` does not hold."""
    if not condition:
        yield f"{name}={'null' if value is None else value} is not possible: {allowed}"


def require(condition: bool, name: str, value: Any, allowed: str) -> None:
    """Raise ConfigError unless ``condition`` holds."""
    refuse(unless(condition, name, value, allowed))


def refuse(problems: Iterable[str]) -> None:
    """Raise one ConfigError with all ``problems``, if there are any."""
    found = tuple(problems)
    if found:
        raise ConfigError(*found)


def wrong_bits(config: Config, names: tuple[str, ...]) -> Problems:
    """Bit widths that no format has."""
    for name in names:
        bits = getattr(config.quantization, name)
        allowed = f"allowed are 1..{MAX_BITS}, or null for full precision"
        yield from unless(bits is None or 1 <= bits <= MAX_BITS, f"quantization.{name}", bits, allowed)
    rng_bits = config.quantization.rng_bits
    yield from unless(
        1 <= rng_bits <= MAX_RNG_BITS, "quantization.rng_bits", rng_bits, f"allowed are 1..{MAX_RNG_BITS}"
    )
    rule = config.quantization.rng_rule
    yield from unless(rule in RNG_RULES, "quantization.rng_rule", rule, f"allowed are {' and '.join(RNG_RULES)}")


def wrong_numbers(numbers: Numbers) -> Problems:
    """Numbers out of their range; None is not set."""
    for name, value, lowest, highest, closed in numbers:
        if value is None:
            continue
        inside = (value >= lowest if closed else value > lowest) and value <= highest and math.isfinite(value)
        bound = f"{'at least' if closed else 'above'} {lowest:g}" + (
            f" and at most {highest:g}" if highest < math.inf else ""
        )
        yield from unless(inside, name, value, f"it must be {bound}")
