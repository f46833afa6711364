"""What of a run no machine without floats could compute, beside what options say of themselves (`Option.float_quantities`)."""

import math
from collections.abc import Iterator
from typing import Any

from qsnn.dynamics.optimizers import SGDOption
from qsnn.options import GROUPS, impossible
from qsnn.quantization.bit_widths import MAX_BITS

IN_INTEGERS = "quantization.arithmetic=integer"
WHOLE_SCHEDULES = {"lr_schedule": ("constant",), "eta_schedule": ("constant", "halving")}


def is_power_of_two(number: float) -> bool:
    """Whether it is 2^k for a whole k of any sign."""
    return math.frexp(number)[0] == 0.5


def float_widths(config: Any) -> Iterator[str]:
    """Widths of null that the net has a use for, and the rule of rounding that is not exact."""
    lacking = {width for group in GROUPS for width in getattr(config, group).lacking()}
    for name in config.trainer.widths:
        value = getattr(config.quantization, name)
        unused = name in lacking or name == "state_bits"  # which the two states follow, and nothing else
        if not unused and None in (value if isinstance(value, list) else [value]):
            yield impossible(f"quantization.{name}", value, f"{IN_INTEGERS} needs a width: give 1..{MAX_BITS}")
    if config.quantization.rng_rule != "unbiased":
        allowed = f"{IN_INTEGERS} rounds by the rule that is exact: set quantization.rng_rule=unbiased"
        yield impossible("quantization.rng_rule", config.quantization.rng_rule, allowed)


def float_rules(config: Any) -> Iterator[str]:
    """What moves stored weights by other than whole codes."""
    rule = config.optimizer
    if not isinstance(rule, SGDOption):
        yield impossible("optimizer", rule.option, f"{IN_INTEGERS} moves weights by whole codes: use optimizer=sgd")
        return
    if rule.lr != 1:
        yield impossible("optimizer.lr", rule.lr, f"{IN_INTEGERS} moves weights by the codes themselves: set 1")
    if not is_power_of_two(rule.eta):
        yield impossible("optimizer.eta", rule.eta, f"{IN_INTEGERS} shifts by log2 of it: give a power of two")
    for name, allowed in WHOLE_SCHEDULES.items():
        if getattr(rule, name) not in allowed:
            yield impossible(f"optimizer.{name}", getattr(rule, name), f"{IN_INTEGERS} allows {' or '.join(allowed)}")
    yield from _float_momentum(rule.momentum, config.quantization.gradient_bits)


def _float_momentum(momentum: float, gradient_bits: Any) -> Iterator[str]:
    if not momentum:
        return
    if momentum == 1 or not (is_power_of_two(momentum) or is_power_of_two(1 - momentum)):
        allowed = f"{IN_INTEGERS} shifts and subtracts: give 2^-k or 1 - 2^-k, such as 0.875, or 0"
        yield impossible("optimizer.momentum", momentum, allowed)
    if isinstance(gradient_bits, list) and len(set(gradient_bits)) > 1:
        allowed = f"momentum keeps all layers on one grid with {IN_INTEGERS}: give one width, or optimizer.momentum=0"
        yield impossible("quantization.gradient_bits", gradient_bits, allowed)
