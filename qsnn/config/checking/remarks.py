"""What is allowed but does not do what it seems to: one line each, logged when a run starts; and what helps an idle net."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from qsnn.config.checking.checks import widths_there
from qsnn.config.paths import config_folder
from qsnn.config.schema import Config

SHIPPED_GRADIENT_BITS = (
    8,
    10,
)  # of the quantizations in conf/: whoever takes one of them has not chosen its gradient_bits


def remarks(config: Config, overrides: list[str]) -> list[str]:
    """The lines for a run with ``config`` that was composed with ``overrides``."""
    names = [text.lstrip("+").split("=", 1)[0] for text in overrides]
    searched = [f"{name} is not used by a single run or a sweep: python -m qsnn.search takes it"
                for name in names if name.startswith("search.")]  # fmt: skip
    return [*searched, *_unused_widths(config, names), *_idle_gradient_bits(config, names)]


def _unused_widths(config: Config, names: list[str]) -> Iterator[str]:
    """Widths that were chosen for a net that has no such thing."""
    there = widths_there(config)
    chosen = f"trainer={config.trainer.option} and neuron={config.neuron.option}"
    for entry in fields(config.quantization):
        name = f"quantization.{entry.name}"
        if name in names and entry.name.endswith("_bits") and entry.name not in there:
            floats = " with quantization.arithmetic=float" if not config.quantization.integer else ""
            yield f"{name} is not used: nets of {chosen}{floats} have {', '.join(there)}"
    if "loss.filter_bits" in names and not config.quantization.integer:
        yield "loss.filter_bits is not used: the filter is in fixed point with quantization.arithmetic=integer alone"


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


def remedies(config: Config, overrides: list[str]) -> dict[str, str]:
    """What helps where a figure of health crosses its limit: a net whose neurons forget an input before the next one comes
    stays silent, and the time constants that an option has by default are those of the pattern."""
    taus = [f"neuron.{name}" for name in ("tau_mem", "tau_syn") if hasattr(config.neuron, name)]
    longer = f"longer {' and '.join(taus)}" if taus else "a lower neuron.threshold"
    known = (f"{config.dataset.option}{suffix}" for suffix in ("", f"_{config.trainer.option}"))
    there = [name for name in known if (Path(config_folder()) / "experiment" / f"{name}.yaml").is_file()]
    instead = (
        f", or experiment={there[0]}, whose nets do," if there and f"experiment={there[0]}" not in overrides else ""
    )
    return {"silent": f"{longer}{instead} may make them spike"}
