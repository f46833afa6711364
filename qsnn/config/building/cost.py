"""The memory of a run, or of a config alone: which key decides about which term."""

import math
from typing import Any

from qsnn.config.building.run import build_machine
from qsnn.config.schema import Config
from qsnn.data.events.windows import SIGNED_MODES, input_shape
from qsnn.data.words import CLASSES
from qsnn.dynamics import UpdateRule
from qsnn.hardware.learning import Learning
from qsnn.hardware.memory import Memory, memory_of
from qsnn.losses.cross_entropy import MAX, MEMBRANE
from qsnn.models.local_net import LocalNet
from qsnn.models.spiking_net import SpikingNet
from qsnn.training.run import Run
from qsnn.training.settings import rounding_by_layer


def memory_of_run(config: Config, run: Run) -> Memory | None:
    """That of a run's net; None of a net of another kind than ours, whose terms nobody knows."""
    net: Any = run.state.model
    if not isinstance(net, SpikingNet | LocalNet):
        return None
    learning = _learning(config, list(net.layers), run.state.rule, run.task.num_steps)
    return memory_of(net, math.prod(run.task.inputs), learning)


def net_of_config(config: Config) -> tuple[Any, tuple[int, ...]]:
    """The untrained net of a config, and the shape of a sample's input in a step. Raises ConfigError and DataError."""
    inputs, num_outputs, _ = _shapes(config)
    return config.trainer.build_net(config, inputs, num_outputs, build_machine(config)), inputs


def memory_of_config(config: Config) -> Memory:
    """The same from a config alone: widths and shapes decide it. No data are prepared. Raises ConfigError and DataError."""
    inputs, num_outputs, num_steps = _shapes(config)
    net = config.trainer.build_net(config, inputs, num_outputs, build_machine(config))
    learning = _learning(config, list(net.layers), config.trainer.rule(config), num_steps)
    return memory_of(net, math.prod(inputs), learning)


def _shapes(config: Config) -> tuple[tuple[int, ...], int, int]:
    """Of a sample's input in a step, how many outputs, how many steps."""
    if CLASSES not in config.dataset.gives:
        pattern, target = config.dataset.load()
        return (pattern.shape[2],), target.shape[2], pattern.shape[0]
    source, windows = config.dataset.source(), config.dataset.windows(config.neuron.dt, training=True)
    return input_shape(source.sensor, windows), len(source.classes), windows.num_steps


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
