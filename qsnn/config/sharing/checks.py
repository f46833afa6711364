"""What several processes cannot share: told in one line each before anything is built."""

import inspect
from collections.abc import Iterator

from qsnn.config.schema import Config
from qsnn.data.words import CLASSES
from qsnn.errors import ConfigError
from qsnn.options import impossible

EXACT = "sums over several processes are exact of codes alone: give it a width, or start one process"


def check_shareable(config: Config, size: int) -> None:
    """Raise ConfigError with all that keeps ``size`` processes from being, to the last bit, one with the whole batch."""
    problems = list(_problems(config, size))
    if problems:
        raise ConfigError(*problems)


def _problems(config: Config, size: int) -> Iterator[str]:
    if CLASSES not in config.dataset.gives:
        allowed = f"a pattern is one batch of one sample, which {size} processes cannot share: start one process"
        yield impossible("dataset", config.dataset.option, allowed)
        return
    batch = config.trainer.batch_size
    if batch < size:
        yield f"trainer.batch_size={batch} of all {size} processes leaves some without a sample: start {batch} at most"
    if config.device != "cpu":
        yield impossible("device", config.device, "several processes compute on CPUs: use device=cpu")
    for name in config.trainer.exact_widths:
        value = getattr(config.quantization, name)
        if None in (value if isinstance(value, list) else [value]):
            yield impossible(f"quantization.{name}", value, EXACT)
    yield from _deaf_neuron(config)


def _deaf_neuron(config: Config) -> Iterator[str]:
    """A neuron that learns by itself, and does not ask what the largest error of all processes is."""
    if not hasattr(config.neuron, "build"):
        return
    backward = getattr(config.neuron.build(8, 8, 8), "sequence_backward", None)
    if backward is not None and "over" not in inspect.signature(backward).parameters:
        allowed = "its sequence_backward takes no `over`, the maxima of all processes (docs/distributed.md)"
        yield impossible("neuron", config.neuron.option, allowed)
