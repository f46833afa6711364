"""What is allowed but does not do what it seems to: one line each, logged when a run starts."""

from qsnn.config.schema import AdamaxConfig, AdamConfig, Config, QuantizationConfig


def remarks(config: Config, overrides: list[str]) -> list[str]:
    """The lines for a run with ``config`` that was composed with ``overrides``."""
    return [line for line in (_idle_gradient_bits(config, overrides),) if line]


def _idle_gradient_bits(config: Config, overrides: list[str]) -> str | None:
    """Adam and Adamax divide by the size of the gradients, which a constant factor on all of them cancels out of."""
    bits, rule = config.quantization.gradient_bits, config.optimizer
    chosen = any(text.lstrip("+").startswith("quantization.gradient_bits=") for text in overrides)
    usual = type(config.quantization)().gradient_bits
    if bits is None or not isinstance(rule, AdamConfig | AdamaxConfig) or (not chosen and bits == usual):
        return None
    name = "adamax" if isinstance(rule, AdamaxConfig) else "adam"
    left = "" if isinstance(config.quantization, QuantizationConfig) else " and the range of the stored weights"
    return (
        f"quantization.gradient_bits={bits} changes nothing with optimizer={name} but how much optimizer.eps counts{left}: the "
        "rule cancels a factor on all gradients. optimizer.eta sets the width of their integers (gradient_code_bits in "
        "summary.json); gradient_bits is a resolution with optimizer=sgd"
    )
