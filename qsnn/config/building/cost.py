"""Memory and energy of a run, or of a config alone: which key decides about which term."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from qsnn.config.building.run import build_machine
from qsnn.config.schema import Config
from qsnn.data.events.options import Extent
from qsnn.data.events.windows import SIGNED_MODES, input_shape
from qsnn.data.words import CLASSES
from qsnn.dynamics import UpdateRule
from qsnn.errors import ConfigError, DataError
from qsnn.hardware.cost import Costs, costs_of
from qsnn.hardware.counts.net import ways_of
from qsnn.hardware.counts.rates import RUN, Rates, assumed_rates, rates_of
from qsnn.hardware.learning import Learning
from qsnn.hardware.memory import Memory, memory_of
from qsnn.losses.cross_entropy import MAX, MEMBRANE
from qsnn.models.local_net import LocalNet
from qsnn.models.spike_counts import SpikeCounts
from qsnn.models.spiking_net import SpikingNet
from qsnn.training.run import Run
from qsnn.training.settings import rounding_by_layer


class Costed(NamedTuple):
    """A net with all that its costs depend on, but for its spikes. ``inputs``: shape of its input in a step."""

    net: Any
    inputs: tuple[int, ...]
    learning: Learning
    burn_in: int

    def memory(self) -> Memory:
        """To the bit."""
        return memory_of(self.net, math.prod(self.inputs), self.learning)


def costed_run(config: Config, run: Run) -> Costed | None:
    """A run's net; None of a net of another kind than ours, whose terms nobody knows."""
    net: Any = run.state.model
    if not isinstance(net, SpikingNet | LocalNet):
        return None
    return costed_net(config, net, run.task.inputs, run.state.rule, run.task.num_steps)


def costed_net(config: Config, net: Any, inputs: tuple[int, ...], rule: UpdateRule, num_steps: int) -> Costed:
    """A net that is built."""
    burn_in = round(config.trainer.burn_in / config.neuron.dt) if isinstance(net, LocalNet) else 0
    return Costed(net, inputs, _learning(config, list(net.layers), rule, num_steps), burn_in)


def costed_config(config: Config) -> Costed:
    """A fresh net from a config alone: widths and shapes decide it. No data are prepared. Raises ConfigError and DataError."""
    inputs, num_outputs, num_steps = _shapes(config)
    net = config.trainer.build_net(config, inputs, num_outputs, build_machine(config))
    return costed_net(config, net, inputs, config.trainer.rule(config), num_steps)


def memory_of_run(config: Config, run: Run) -> Memory | None:
    """That of a run's net; None of a net of another kind than ours."""
    costed = costed_run(config, run)
    return None if costed is None else costed.memory()


def net_of_config(config: Config) -> tuple[Any, tuple[int, ...]]:
    """The untrained net of a config, and the shape of a sample's input in a step. Raises ConfigError and DataError."""
    inputs, num_outputs, _ = _shapes(config)
    return config.trainer.build_net(config, inputs, num_outputs, build_machine(config)), inputs


def memory_of_config(config: Config) -> Memory:
    """The same of `costed_config`. Raises ConfigError and DataError."""
    return costed_config(config).memory()


def costs_by(config: Config, costed: Costed, rates: Rates, overrides: Sequence[str] = ()) -> Costs:
    """Energy of a net with these rates, by the table of ``config``."""
    net, inputs, learning, burn_in = costed
    name = hardware_name(config, overrides)
    return costs_of(net, inputs, rates, learning, costed.memory(), burn_in, config.hardware, name)


def measured_rates(costed: Costed, counts: SpikeCounts, measured: str = RUN) -> Rates:
    """Of an evaluation."""
    return rates_of(costed.net, costed.inputs, counts, costed.burn_in, measured)


def assumed(config: Config, costed: Costed, rate: float) -> Rates:
    """Every place and neuron spikes with ``rate``."""
    steps = costed.learning.num_steps
    if CLASSES in config.dataset.gives:
        steps = config.dataset.windows(config.neuron.dt, training=False).num_steps
    return assumed_rates(costed.net, costed.inputs, rate, steps, ways_of(costed.net), costed.burn_in)


def hardware_name(config: Config, overrides: Sequence[str]) -> str:
    """That of the table, with the figures that were changed: it is another table then."""
    changed = [text.lstrip("+") for text in overrides if text.lstrip("+").startswith("hardware.")]
    changed = [text for text in changed if not text.startswith("hardware.name=")]
    return f"{config.hardware.name} with {', '.join(changed)}" if changed else str(config.hardware.name)


def _shapes(config: Config) -> tuple[tuple[int, ...], int, int]:
    """Of a sample's input in a step, how many outputs, how many steps."""
    if CLASSES not in config.dataset.gives:
        pattern, target = config.dataset.load()
        return (pattern.shape[2],), target.shape[2], pattern.shape[0]
    extent, windows = _extent(config), config.dataset.windows(config.neuron.dt, training=True)
    return input_shape(extent.sensor, windows), extent.num_classes, windows.num_steps


def needs_no_files(config: Config) -> bool:
    """Whether the net's shape follows from the config."""
    try:
        _shapes(config)
    except (ConfigError, DataError):
        return False
    return True


def _extent(config: Config) -> Extent:
    """Raises DataError, with the key that gives it, where the data set's own files alone tell its extent."""
    try:
        found: Extent = config.dataset.extent()
    except (ConfigError, DataError) as error:
        needed = f"the sensor and the classes of dataset={config.dataset.option}, which shape the net"
        raise DataError(f"{needed}, are those of its files: {error}") from error
    return found


def _learning(config: Config, layers: list[str], rule: UpdateRule, num_steps: int) -> Learning:
    classes, loss = CLASSES in config.dataset.gives, config.loss
    mode = config.dataset.windows(config.neuron.dt, training=True).input_mode if classes else 0
    marks = loss.option == "cross_entropy" and loss.logits == MEMBRANE and loss.over_time == MAX
    return Learning(
        rule, config.optimizer.schedules()[0] == "constant", rounding_by_layer(config, layers),
        dict(zip(layers, config.quantization.by_layer(len(layers)), strict=True)), num_steps,
        config.trainer.batch_size if classes else 1, 2 if mode in SIGNED_MODES else 1, marks,
        getattr(config.trainer, "dropout", 0) > 0,
    )  # fmt: skip
