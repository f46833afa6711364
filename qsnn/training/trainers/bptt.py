"""Quantized backpropagation through time as an option: what it needs of the others, and the run that it builds."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from qsnn.data.sources.pattern import Pattern, fingerprint
from qsnn.data.words import TARGET
from qsnn.dynamics.cuba_lif import SPIKES
from qsnn.losses.van_rossum import SPIKE_ERRORS
from qsnn.models.geometry import DENSE
from qsnn.options import Option, key, option
from qsnn.training.bptt import BPTTLearner
from qsnn.training.pattern_task import PatternTask
from qsnn.training.run import Run, RunSettings
from qsnn.training.settings import Machine, RunConfig, rounding_by_layer, threshold_problems
from qsnn.training.state import new_training_state


@option("trainer", "bptt")
@dataclass
class BPTT(Option):
    """Quantized backpropagation through time, one update an epoch."""

    needs: ClassVar[frozenset[str]] = frozenset({SPIKES, DENSE, SPIKE_ERRORS, TARGET})
    widths: ClassVar[tuple[str, ...]] = (
        "weight_bits", "state_bits", "membrane_bits", "synapse_bits", "error_bits", "gradient_bits", "rng_bits",
    )  # fmt: skip

    gradient_bits_bound_weights: ClassVar[bool] = False

    epochs: int = key(10000, "epochs in all, also when resumed", "epochs", "nb_epochs", at_least=1, at_most=10**9)
    checkpoint_every: int = key(500, "epochs between checkpoints", "epochs", "none", at_least=1, at_most=10**9)

    def problems_with(self, config: RunConfig, right: set[str]) -> Iterator[str]:
        """What is wrong with the options together, those of the groups in ``right`` being right by themselves."""
        if {"loss", "neuron"} <= right:
            yield from config.loss.problems_at(config.neuron.dt)
        if {"model", "quantization"} <= right:
            yield from config.quantization.problems_at(config.model.num_layers(True))
        if {"neuron", "quantization"} <= right:
            yield from threshold_problems(config)

    def check_data(self, config: RunConfig) -> None:
        """Raise ConfigError or DataError if the data are not there."""
        config.dataset.load()

    def build_run(self, config: RunConfig, machine: Machine, folder: Path, facts: dict[str, Any]) -> Run:
        """A run in ``folder``, in the state before its first batch. Raises ConfigError and DataError."""
        bits, optimizer, backend = config.quantization, config.optimizer, machine.backend
        pattern = Pattern(*(raster.to(machine.device) for raster in config.dataset.load()))
        sizes = config.dataset.num_inputs, config.dataset.num_outputs
        net = config.model.build_spiking(*sizes, config.neuron, bits, config.seed, backend).to(machine.device)
        state = new_training_state(net, optimizer.build(bits.gradient_bits), config.seed)
        loss = config.loss.build(config.neuron.dt, backend)
        settings = RunSettings(
            self.epochs, self.checkpoint_every, rounding_by_layer(config, list(net.layers)), *optimizer.schedules()
        )
        facts = {**facts, "data": fingerprint(pattern)}
        return Run(state, BPTTLearner(loss), PatternTask(pattern, loss), settings, folder, facts)
