"""Local learning as an option: what it needs of the others, and the run that it builds. Source: [DECOLLE], [ICONS]."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qsnn.data.events.windows import input_shape
from qsnn.data.words import CLASSES
from qsnn.dynamics import UpdateRule
from qsnn.dynamics.trace_lif import TRACES
from qsnn.kernels.dispatch import select_integer_local_backend, select_local_backend
from qsnn.losses.local_readout import READOUT_ERRORS
from qsnn.models.geometry import LOCAL, Shape, local_names
from qsnn.models.local_net import LocalInit, LocalNet, build_local_net
from qsnn.options import MAX_FACTOR, Option, impossible, key, option
from qsnn.training.class_task import ClassTask, class_settings
from qsnn.training.local_learning import LocalLearner, dropout_streams
from qsnn.training.run import Run, RunSettings
from qsnn.training.settings import Machine, RunConfig, rounding_by_layer
from qsnn.training.state import new_training_state
from qsnn.training.trainers.integers import IN_INTEGERS, float_rules, float_widths

USUAL_INIT_BETA = 1.5
log = logging.getLogger(__name__)


def _tell_widths(bits: dict[str, dict[str, int]]) -> None:
    """What an integer machine's accumulators need, one line a layer."""
    for layer, found in bits.items():
        told = ", ".join(f"{quantity} {width}" for quantity, width in found.items())
        log.info("integers, signed bits of %s: %s", layer, told)


@option("trainer", "local")
@dataclass
class Local(Option):
    """On-line local learning: every layer learns at every time step, from its own fixed random readout (DECOLLE)."""

    needs: ClassVar[frozenset[str]] = frozenset({TRACES, LOCAL, READOUT_ERRORS, CLASSES})
    widths: ClassVar[tuple[str, ...]] = (
        "weight_bits", "membrane_bits", "synapse_trace_bits", "membrane_trace_bits", "refractory_bits", "readout_weight_bits",
        "readout_bits", "sigmoid_bits", "error_bits", "gradient_bits", "rng_bits",
    )  # fmt: skip

    exact_widths: ClassVar[tuple[str, ...]] = (
        "weight_bits", "membrane_bits", "membrane_trace_bits", "readout_weight_bits", "readout_bits", "sigmoid_bits",
        "error_bits",
    )  # fmt: skip
    gradient_bits_bound_weights: ClassVar[bool] = True
    come_with_weights: ClassVar[tuple[str, ...]] = ("readout_amplitude",)

    epochs: int = key(320, "epochs in all, also when resumed", "epochs", "epochs", at_least=0, at_most=10**9)
    batch_size: int = key(72, "recordings in a batch", "", "batch_size", at_least=1, at_most=100_000)
    burn_in: float = key(
        0.051, "start of each recording without learning and without votes", "s", "t > 50 steps, fixed", at_least=0
    )
    dropout: float = key(
        0.5, "share of the readout that is set to 0 in training", "", "dropout_p", at_least=0, at_most=0.999
    )
    weight_mult: list[float] = key(
        [4e-5],
        "factor on the stored weights, one for each layer or one for all",
        "",
        "weight_mult",
        above=0,
        at_most=MAX_FACTOR,
    )
    bias_gain: float = key(
        100.0, "initial biases reach bias_gain / sqrt(fan_in), or the end of the weights' range", "", "100, fixed",
        at_least=0, at_most=MAX_FACTOR,
    )  # fmt: skip
    readout_amplitude: float = key(
        0.5, "size of the fixed readout: its weights / readout_scale are about amplitude / sqrt(features)", "", "lc_ampl",
        above=0, at_most=MAX_FACTOR,
    )  # fmt: skip
    lr_div: int | None = key(
        80,
        "eta halves (lr is divided by 5, in full precision) at the start of epochs lr_div, 2 lr_div, ...; null: never",
        "epochs",
        "lr_div",
        at_least=1,
    )
    validate_every: int = key(
        1,
        "epochs between validations, by which the best epoch is chosen; the last weights always compete",
        "epochs",
        "none",
        at_least=1,
    )
    train_sample: int | None = key(
        None,
        "training recordings that are scored, frozen, at each validation; null: as many as validation has",
        "",
        "none",
        at_least=0,
        at_most=10**9,
    )
    checkpoint_every: int = key(1, "epochs between checkpoints", "epochs", "none", at_least=1, at_most=10**9)

    def settle(self, config: RunConfig) -> None:
        """Nothing follows from the rest of the config."""

    def problems_with(self, config: RunConfig, right: set[str]) -> Iterator[str]:
        """What is wrong with the options together, those of the groups in ``right`` being right by themselves."""
        if {"dataset", "neuron"} <= right:
            wrong = list(config.dataset.problems_at(config.neuron.dt))
            yield from wrong
            if not wrong and "trainer" in right:
                yield from self._no_step_left(config)
        if "model" in right:
            yield from self._wrong_layers(config, right)

    def _no_step_left(self, config: RunConfig) -> Iterator[str]:
        dt, window = config.neuron.dt, min(config.dataset.window_train, config.dataset.window_test)
        steps = self.burn_in / dt
        if math.isinf(steps) or round(window / dt) <= round(steps):
            wanted = f"it leaves no step to learn in windows of {window:g} s: make it shorter"
            yield impossible("trainer.burn_in", self.burn_in, wanted)

    def _wrong_layers(self, config: RunConfig, right: set[str]) -> Iterator[str]:
        num_layers = config.model.num_layers(False)
        if any(geometry.stride != 1 for geometry in config.model.geometries()):
            yield impossible("model.stride", config.model.stride, "layers that learn locally have stride 1")
        if num_layers < 1:
            yield impossible("model.hidden", "[]", "give one entry for each layer, at least one")
            return
        if "quantization" in right:
            yield from config.quantization.problems_at(num_layers)
        if "trainer" in right and len(self.weight_mult) not in (1, num_layers):
            wanted = f"it needs 1 entry or {num_layers}, one for each layer"
            yield impossible("trainer.weight_mult", self.weight_mult, wanted)

    def float_quantities(self, config: RunConfig) -> Iterator[str]:
        """Widths, rules and a momentum without a definition in integers."""
        yield from float_widths(config)
        yield from float_rules(config)
        if getattr(config.optimizer, "momentum", 0):
            allowed = f"{IN_INTEGERS} has none in local learning: set 0"
            yield impossible("optimizer.momentum", config.optimizer.momentum, allowed)

    def check_data(self, config: RunConfig) -> None:
        """Raise ConfigError or DataError if the data are not there, or if a layer would make no maps of them."""
        maps = input_shape(config.dataset.source().sensor, config.dataset.windows(config.neuron.dt, training=True))
        config.model.check_inputs(maps, with_output=False)

    def layer_names(self, config: RunConfig) -> list[str]:
        """Those of the net, input first."""
        return local_names(config.model.num_layers(False))

    def build_net(self, config: RunConfig, inputs: Shape, num_outputs: int, machine: Machine) -> LocalNet:
        """The net with fresh weights for ``inputs`` (C, H, W) and as many classes as outputs. Raises ConfigError."""
        model, loss, geometries = config.model, config.loss, config.model.geometries()
        mults = self.weight_mult * (len(geometries) if len(self.weight_mult) == 1 else 1)
        beta = USUAL_INIT_BETA if model.init_beta is None else model.init_beta
        init = LocalInit(
            mults, model.fan_in, beta, self.bias_gain, self.readout_amplitude, loss.l1, loss.l2,
            getattr(model, "init_range", None),
        )  # fmt: skip
        return build_local_net(
            model.input_maps(inputs), geometries, num_outputs, config.neuron, config.quantization.by_layer(len(geometries)),
            init, config.seed, select_local_backend(machine.backend.name), select_integer_local_backend(machine.backend.name),
        ).to(machine.device)  # fmt: skip

    def build_learner(self, config: RunConfig, machine: Machine) -> LocalLearner:
        """How a batch changes a net."""
        return LocalLearner(round(self.burn_in / config.neuron.dt), self.dropout, machine.backend, machine.workers)

    def rule(self, config: RunConfig) -> UpdateRule:
        """How weights move."""
        built: UpdateRule = config.optimizer.build(config.quantization.gradient_bits)
        return built

    def build_run(self, config: RunConfig, machine: Machine, folder: Path, facts: dict[str, Any]) -> Run:
        """A run in ``folder``, in the state before its first batch. Raises ConfigError and DataError."""
        data, dt, optimizer = config.dataset, config.neuron.dt, config.optimizer
        prepared = data.prepare(config.logging.progress)
        parts = data.split(prepared)
        windows = data.windows(dt, training=True), data.windows(dt, training=False)
        learner = self.build_learner(config, machine)
        task = ClassTask(prepared, parts, *windows, class_settings(self, data), learner, machine.workers)
        net = self.build_net(config, task.inputs, task.num_outputs, machine)
        if machine.workers.size > 1:
            net.check_shareable(self.batch_size)
        state = new_training_state(net, self.rule(config), config.seed, dropout_streams(net))
        rounding = rounding_by_layer(config, list(net.layers))
        settings = RunSettings(self.epochs, self.checkpoint_every, rounding, *optimizer.schedules())
        settings = settings._replace(lr_div=self.lr_div)
        facts = {**facts, "data": prepared.fingerprint, "shapes": task.shapes()}
        if config.quantization.integer:
            facts["accumulator_bits"] = net.accumulator_bits(self.batch_size, rounding)
            _tell_widths(facts["accumulator_bits"])
        return Run(state, learner, task, settings, folder, facts, machine.workers)
