"""Quantized backpropagation through time as an option: what it needs of the others, and the run that it builds."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from qsnn.data.events.windows import input_shape
from qsnn.data.sources.pattern import Pattern, fingerprint
from qsnn.data.words import CLASSES
from qsnn.dynamics import UpdateRule
from qsnn.dynamics.neuron import INTEGER_STEP, SPIKES
from qsnn.kernels.backend import GradientRounding
from qsnn.losses.base import OUTPUT_ERRORS
from qsnn.losses.whole_batch import WholeBatchLoss
from qsnn.models.accumulators import Lesson, accumulators, check_accumulators, widths_of
from qsnn.models.building import layer_names
from qsnn.models.geometry import BACKPROPAGATED
from qsnn.options import Option, impossible, key, option
from qsnn.training.bptt import BPTTLearner
from qsnn.training.class_task import ClassTask, class_settings
from qsnn.training.pattern_task import PatternTask
from qsnn.training.run import Run, RunSettings
from qsnn.training.settings import Machine, RunConfig, rounding_by_layer, threshold_problems
from qsnn.training.state import new_training_state
from qsnn.training.trainers.integers import IN_INTEGERS, float_rules, float_widths

log = logging.getLogger(__name__)
EPOCHS, CHECKPOINT_EVERY = {True: 50, False: 10000}, {True: 1, False: 500}


@option("trainer", "bptt")
@dataclass
class BPTT(Option):
    """Quantized backpropagation through time, one update a batch; a pattern is one batch."""

    needs: ClassVar[frozenset[str]] = frozenset({SPIKES, BACKPROPAGATED, OUTPUT_ERRORS})
    widths: ClassVar[tuple[str, ...]] = (
        "weight_bits", "state_bits", "membrane_bits", "synapse_bits", "integrator_bits", "error_bits", "gradient_bits",
        "rng_bits", "surrogate_bits",
    )  # fmt: skip

    exact_widths: ClassVar[tuple[str, ...]] = ("weight_bits", "error_bits")
    gradient_bits_bound_weights: ClassVar[bool] = False
    come_with_weights: ClassVar[tuple[str, ...]] = ()

    epochs: int | None = key(
        None, "epochs in all, also when resumed; null: 10000 of a pattern, 50 of recordings", "epochs", "nb_epochs",
        at_least=0, at_most=10**9,
    )  # fmt: skip
    batch_size: int = key(32, "recordings in a batch; a pattern is one", at_least=1, at_most=100_000)
    validate_every: int = key(
        1, "epochs between validations, by which the best epoch is chosen; the last weights always compete", "epochs",
        at_least=1,
    )  # fmt: skip
    train_sample: int | None = key(
        0, "training recordings that are scored, frozen, at each validation; null: as many as validation has",
        at_least=0, at_most=10**9,
    )  # fmt: skip
    checkpoint_every: int | None = key(
        None, "epochs between checkpoints; null: 500 of a pattern, 1 of recordings", "epochs", "none",
        at_least=1, at_most=10**9,
    )  # fmt: skip

    vectorize: str | None = key(
        None, "seed: in a sweep, jobs that differ in nothing but the seed are trained as one batch of nets, to the same bits",
        choices=(None, "seed"),
    )  # fmt: skip

    def settle(self, config: RunConfig) -> None:
        """Fill in what follows from the data set."""
        classes = CLASSES in config.dataset.gives
        self.epochs = EPOCHS[classes] if self.epochs is None else self.epochs
        self.checkpoint_every = CHECKPOINT_EVERY[classes] if self.checkpoint_every is None else self.checkpoint_every

    def problems_with(self, config: RunConfig, right: set[str]) -> Iterator[str]:
        """What is wrong with the options together, those of the groups in ``right`` being right by themselves."""
        if {"loss", "neuron"} <= right:
            yield from config.loss.problems_at(config.neuron.dt)
        if {"model", "quantization"} <= right:
            yield from config.quantization.problems_at(config.model.num_layers(True))
        if {"neuron", "quantization"} <= right:
            yield from threshold_problems(config)
        if CLASSES in config.dataset.gives and {"dataset", "neuron"} <= right:
            yield from config.dataset.problems_at(config.neuron.dt)

    def float_quantities(self, config: RunConfig) -> Iterator[str]:
        """Widths, rules and neurons without a definition in integers."""
        yield from float_widths(config)
        yield from float_rules(config)
        # Its own word: a subclass that has changed the equations does not inherit their definition in integers.
        if INTEGER_STEP not in vars(type(config.neuron)).get("gives", ()):
            allowed = f"{IN_INTEGERS} needs {INTEGER_STEP}: neuron=cuba_lif, neuron=lif or neuron=if is one"
            yield impossible("neuron", config.neuron.option, allowed)

    def check_data(self, config: RunConfig) -> None:
        """Raise ConfigError or DataError if the data are not there, or if a layer would make no maps of them."""
        if CLASSES not in config.dataset.gives:
            config.dataset.load()
            return
        windows = config.dataset.windows(config.neuron.dt, training=True)
        config.model.check_inputs(input_shape(config.dataset.source().sensor, windows), with_output=True)

    def layer_names(self, config: RunConfig) -> list[str]:
        """Those of the net, input first."""
        return layer_names(config.model.num_layers(False))

    def build_net(self, config: RunConfig, inputs: tuple[int, ...], num_outputs: int, machine: Machine) -> Any:
        """The net with fresh weights for ``inputs`` (N,) or (C, H, W). Raises ConfigError."""
        bits, dt = config.quantization, config.neuron.dt
        last = bits.by_layer(config.model.num_layers(True))[-1]
        integrator = config.loss.integrator(dt, last.integrator_bits, last.error_bits)
        net: nn.Module = config.model.build_spiking(
            inputs, num_outputs, config.neuron, bits, integrator, config.seed, machine.backend
        )
        return net.to(machine.device)

    def build_learner(self, config: RunConfig, machine: Machine) -> BPTTLearner:
        """How a batch changes a net."""
        widths = config.quantization.by_layer(config.model.num_layers(True))
        quantized = any(width.error_bits is not None for width in widths)  # on its way back an error passes all layers
        if config.quantization.integer:
            loss = config.loss.build_integer(config.neuron.dt, machine.backend)
        else:
            loss = config.loss.build(config.neuron.dt, machine.backend, quantized)
        if machine.workers.size > 1:
            loss = WholeBatchLoss(loss, machine.workers)
        return BPTTLearner(loss, machine.backend.name, machine.workers)

    def build_run(self, config: RunConfig, machine: Machine, folder: Path, facts: dict[str, Any]) -> Run:
        """A run in ``folder``, in the state before its first batch. Raises ConfigError and DataError."""
        learner = self.build_learner(config, machine)
        task, data = self._task(config, learner, machine)
        net = self.build_net(config, task.inputs, task.num_outputs, machine)
        rounding, schedules = rounding_by_layer(config, list(net.layers)), config.optimizer.schedules()
        state = new_training_state(net, self.rule(config), config.seed)
        settings = RunSettings(self.epochs or 0, self.checkpoint_every or 1, rounding, *schedules)
        facts = {**facts, "data": data, "shapes": task.shapes()}
        if config.quantization.integer:
            facts["accumulator_bits"] = self._accumulator_bits(config, net, task, learner.loss, rounding)
        return Run(state, learner, task, settings._replace(by_update=True), folder, facts, machine.workers)

    def rule(self, config: RunConfig) -> UpdateRule:
        """How weights move; in integers with a momentum buffer on the grid of the gradients."""
        bits = config.quantization.gradient_bits
        if config.quantization.integer and config.optimizer.momentum:
            rule: UpdateRule = config.optimizer.on_grid(bits[0] if isinstance(bits, list) else bits)
            return rule
        built: UpdateRule = config.optimizer.build(bits)
        return built

    def _accumulator_bits(
        self, config: RunConfig, net: Any, task: Any, loss: Any, rounding: dict[str, GradientRounding]
    ) -> dict[str, dict[str, int]]:
        """Signed bits of every sum, by layer and quantity. Raises ConfigError if one could be rounded."""
        steps, batch = task.num_steps, 1 if isinstance(task, PatternTask) else self.batch_size
        lesson = Lesson(steps, batch, loss.largest_error(steps), rounding, config.optimizer.momentum)
        found = accumulators(net, lesson)
        check_accumulators(found)
        for name, widths in widths_of(found).items():
            told = ", ".join(f"{quantity} {bits}" for quantity, bits in widths.items())
            log.info("integers, signed bits of layer %s: %s", name, told)
        return widths_of(found)

    def _task(self, config: RunConfig, learner: BPTTLearner, machine: Machine) -> tuple[PatternTask | ClassTask, str]:
        """The task, and a fingerprint of its data."""
        data = config.dataset
        if CLASSES not in data.gives:
            pattern = Pattern(*(raster.to(machine.device) for raster in data.load()))
            return PatternTask(pattern, learner.loss), fingerprint(pattern)
        prepared = data.prepare(config.logging.progress)
        windows = [data.windows(config.neuron.dt, training) for training in (True, False)]
        settings = class_settings(self, data)
        task = ClassTask(prepared, data.split(prepared), windows[0], windows[1], settings, learner, machine.workers)
        return task, prepared.fingerprint
