"""Checks of a composed config before anything is built: each failure names the key, the value and what to do.

What one option's values must satisfy stands with the option; here all of it is asked for, and told at once.
"""

import importlib.util
import itertools
from collections.abc import Iterator

from qsnn.config.paths import wrong_name
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, Option, impossible, misfits, value_problems
from qsnn.quantization.bit_widths import INTEGER
from qsnn.reporting.loggers.names import PACKAGES


def chosen_options(config: Config) -> list[Option]:
    """The option of each group."""
    return [getattr(config, group) for group in GROUPS]


def widths_there(config: Config) -> list[str]:
    """The bit widths that the chosen net has a use for."""
    lacking = {width for one in chosen_options(config) for width in one.lacking()}
    lacking |= set() if config.quantization.integer else {"surrogate_bits"}
    return [width for width in config.trainer.widths if width not in lacking]


def check_config(config: Config) -> None:
    """Check every key that can be wrong without the data at hand. Raises one ConfigError with all that is wrong."""
    unfit = tuple(misfits(chosen_options(config)))
    alone = {one.group: tuple(_wrong_values(one)) for one in chosen_options(config)}
    right = {group for group, found in alone.items() if not found}
    together = () if unfit else tuple(config.trainer.problems_with(config, right))  # it builds on options that fit
    floats = () if unfit or len(right) < len(alone) else tuple(_float_quantities(config))
    wrong = (*unfit, *_wrong_at_the_root(config), *itertools.chain(*alone.values()), *together, *floats)
    if wrong:
        raise ConfigError(*wrong)


def _float_quantities(config: Config) -> Iterator[str]:
    """What integer arithmetic leaves no room for."""
    if config.quantization.arithmetic == INTEGER:
        for one in chosen_options(config):
            yield from one.float_quantities(config)


def _wrong_at_the_root(config: Config) -> Iterator[str]:
    """What every run has."""
    yield from value_problems(config, "")
    yield from wrong_name(config.name)
    yield from value_problems(config.logging, "logging.")
    yield from value_problems(config.logging.limits, "logging.limits.")
    yield from value_problems(config.search, "search.")
    yield from value_problems(config.hardware, "hardware.")
    yield from config.hardware.problems()
    if len(set(config.logging.to)) < len(config.logging.to):
        yield impossible("logging.to", config.logging.to, "name each logger once")
    for name, remedy in PACKAGES.items():
        if name in config.logging.to and importlib.util.find_spec(name) is None:
            yield impossible("logging.to", config.logging.to, f"{name} is not installed: {remedy}, or leave it out")


def _wrong_values(one: Option) -> Iterator[str]:
    """What is wrong with the values of an option by itself."""
    yield from value_problems(one, f"{one.group}.")
    yield from one.problems()
