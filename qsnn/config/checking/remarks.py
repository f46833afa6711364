"""What is allowed but does not do what it seems to: one line each, logged when a run starts."""

from collections.abc import Iterator
from dataclasses import fields

from qsnn.config.checking.checks import widths_there
from qsnn.config.schema import Config

SHIPPED_GRADIENT_BITS = (
    8,
    10,
)  # of the quantizations in conf/: whoever takes one of them has not chosen its gradient_bits


def remarks(config: Config, overrides: list[str]) -> list[str]:
    """The lines for a run with ``config`` that was composed with ``overrides``."""
    names = [text.lstrip("+").split("=", 1)[0] for text in overrides]
    return [*_unused_widths(config, names), *_idle_gradient_bits(config, names)]


def _unused_widths(config: Config, names: list[str]) -> Iterator[str]:
    """Widths that were chosen for a net that has no such thing."""
    there = widths_there(config)
    chosen = f"trainer={config.trainer.option} and neuron={config.neuron.option}"
    for entry in fields(config.quantization):
        name = f"quantization.{entry.name}"
        if name in names and entry.name.endswith("_bits") and entry.name not in there:
            yield f"{name} is not used: nets of {chosen} have {', '.join(there)}"


def _idle_gradient_bits(config: Config, names: list[str]) -> Iterator[str]:
    """Adam and Adamax divide by the size of the gradients, which a constant factor on all of them cancels out of."""
    bits, rule = config.quantization.gradient_bits, config.optimizer
    chosen = "quantization.gradient_bits" in names or bits not in SHIPPED_GRADIENT_BITS
    if bits is None or not rule.cancels_size or not chosen:
        return
    left = " and the range of the stored weights" if config.trainer.gradient_bits_bound_weights else ""
    yield (
        f"quantization.gradient_bits={bits} changes nothing with optimizer={rule.option} but how much optimizer.eps "
        f"counts{left}: the rule cancels a factor on all gradients. optimizer.eta sets the width of their integers "
        "(gradient_code_bits in summary.json); gradient_bits is a resolution with optimizer=sgd"
    )
