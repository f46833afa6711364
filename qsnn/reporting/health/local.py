"""Health of local learning: what a batch would teach, looked at without teaching it.

Kernels keep only quantized values, so that at a few time steps everything
is worked out again in plain torch, before it is quantized. Streams and weights stay as they are.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from qsnn.data.events.batches import Batch
from qsnn.dynamics.local_readout import membrane_gradient, readout_sums
from qsnn.dynamics.refractory_lif import decayed_refractory
from qsnn.dynamics.traces import TraceState, raw_traces
from qsnn.kernels.backend import Backend, GradientRounding
from qsnn.layers.local_layer import LayerConstants, LayerState, LayerStep, LocalLayer, features
from qsnn.quantization import divide, potential, shift, symmetric, uniform, unsigned
from qsnn.reporting.health.code_tally import CodeTally
from qsnn.reporting.health.figures import Observation, Values, idle_neurons
from qsnn.training.code_changes import share_never_changed
from qsnn.training.local_learning import LocalLearner, rounded_gradient
from qsnn.training.run import Run
from qsnn.training.state import TrainingState

LOOKS = 4
IN_HISTOGRAMS = ("membrane", "membrane_trace", "synapse_trace")


class Settings(NamedTuple):
    """How a batch is presented and learned from: as in `qsnn.training.local_learning.train_batch`. ``rounding``: by layer."""

    burn_in: int
    dropout: float
    rounding: dict[str, GradientRounding]
    backend: Backend


def _copy(state: LayerState) -> LayerState:
    """Kernels use the memory of the old state for the new one."""
    return LayerState(TraceState(*(trace.clone() for trace in state.traces)), state.refractory.clone())


def forward_values(
    layer: LocalLayer, spikes: Tensor, before: LayerState, step: LayerStep,
    weights: tuple[Tensor, Tensor], constants: LayerConstants,
) -> dict[str, Values]:  # fmt: skip
    """Traces, refractory state, membrane and readout of ``step``, which began in ``before`` with input ``spikes``."""
    traces, p, s = raw_traces(spikes, before.traces, constants.traces), constants.traces, layer.settings
    r = s.refractory
    drive = layer.backend.drive(step.trace, *weights, s.padding, layer.weight_grid(), p)
    return {
        "membrane_trace": Values(divide(traces.membrane, p.membrane_full_scale), unsigned(p.membrane_trace_bits)),
        "synapse_trace": Values(divide(traces.synapse, p.synapse_full_scale), unsigned(p.synapse_trace_bits)),
        "refractory": Values(divide(before.refractory, r.full_scale), unsigned(r.refractory_bits)),
        "membrane": Values(drive / r.scale - decayed_refractory(before.refractory, r), potential(r.membrane_bits)),
        "readout": Values(
            readout_sums(features(step.activation.feature), constants.readout), symmetric(s.readout_bits)
        ),
    }


def error_values(
    layer: LocalLayer, step: LayerStep, target: Tensor, mask: Tensor, constants: LayerConstants
) -> dict[str, Values]:
    """Errors at the readout and at the membrane, in units of their scale (`qsnn.quantization.shift`)."""
    p, readout, fmt = constants.readout, layer.readout(step, constants), symmetric(layer.settings.error_bits)
    at_readout = (readout * mask - target) * mask
    B, C, H, W = step.activation.value.shape
    outer = layer.backend.readout_error(readout, target, mask, p.error_bits)
    back = (outer.error @ p.feedback).view(B, H, W, C).permute(0, 3, 1, 2)
    at_membrane = membrane_gradient(back, step.activation.value, step.membrane, p)
    errors = {"readout_error": at_readout, "error": at_membrane}
    return {name: Values(error / shift(error.abs().max()), fmt) for name, error in errors.items()}


class _Look:
    """What the looks at a net have counted."""

    def __init__(self, state: TrainingState, settings: Settings, labels: Tensor) -> None:
        self.state, self.settings = state, settings
        model, device = state.model, next(state.model.parameters()).device
        self.target = functional.one_hot(labels, model.num_classes).to(torch.float32).to(device)
        self.tallies: dict[str, CodeTally] = {}
        self.histograms: dict[str, Values] = {}

    def _count(self, name: str, values: dict[str, Values]) -> None:
        for tensor, (raw, fmt) in values.items():
            if fmt is not None:
                self.tallies.setdefault(f"{name}.{tensor}", CodeTally()).add_quantized(raw, fmt)

    def forward(self, name: str, values: dict[str, Values]) -> None:
        """Count what the forward pass of a layer has quantized."""
        self._count(name, values)
        self.histograms |= {f"{tensor}/{name}": values[tensor] for tensor in IN_HISTOGRAMS}

    def backward(self, name: str, layer: LocalLayer, step: LayerStep, constants: LayerConstants) -> None:
        """Count errors and the gradient, as the training step of now would round it."""
        stream, rounding = self.state.streams[f"{name}/dropout"], self.settings.rounding[name]
        numbers, _ = uniform(stream, self.target.shape, self.target.device)
        mask = (numbers >= self.settings.dropout).to(torch.float32)
        self._count(name, error_values(layer, step, self.target, mask, constants))
        if rounding.gradient_bits is not None:
            found = layer.gradient(step, layer.readout(step, constants), self.target, mask, constants).weight
            rounded = rounded_gradient(
                found, layer.settings.weight_mult, self.state.streams[f"{name}.weight"], rounding, self.settings.backend
            ).gradient
            tally = self.tallies.setdefault(f"{name}.gradient", CodeTally())
            tally.add_gradient(found.reshape(rounded.shape), rounded, rounding.gradient_bits)

    def weights(self) -> dict[str, float]:
        """Count the weights; all figures of tensors."""
        stored = self.state.model.stored_weights()
        for name, (weight, bits) in stored.items():
            self._count(name, {"weight": Values(weight.detach(), symmetric(bits))})
        figures = {f"{name}/{key}": v for name, tally in self.tallies.items() for key, v in tally.figures().items()}
        shares = share_never_changed(stored, self.state.initial_codes, self.state.changed)
        return figures | {f"{name}.weight/never_changed": share for name, share in shares.items()}


def look_at(num_steps: int, burn_in: int) -> set[int]:
    """The time steps to look at: evenly spread over those that teach, the last one among them."""
    return {num_steps - 1 - (num_steps - burn_in) * number // LOOKS for number in range(LOOKS)}


@torch.no_grad()
def observe_batch(state: TrainingState, batch: Batch, settings: Settings) -> Observation:
    """Present a batch from rest to the net as it is; nothing is learned, nothing drawn from the run's streams.

    Of ``state`` only ``changed`` is brought up to date.
    """
    model, look = state.model, _Look(state, settings, batch.labels)
    layers, states, constants = model.layers, model.initial_states(len(batch.labels)), model.constants()
    weights = {name: layer.effective_weights() for name, layer in layers.items()}
    first = next(iter(layers.values()))
    steps = look_at(len(batch.input), settings.burn_in)
    rates = {name: torch.zeros(layer.output_shape(), device=first.weight.device) for name, layer in layers.items()}
    for time, events in enumerate(batch.input.to(first.weight.device)):
        spikes = events.to(torch.float32).reshape((-1, *first.tau_mem.shape))
        for name, layer in layers.items():
            before = _copy(states[name]) if time in steps else None
            step, states[name] = layer(spikes, states[name], weights[name], constants[name])
            rates[name] += (step.membrane.membrane >= 0).sum(0)
            if before is not None:
                look.forward(name, forward_values(layer, spikes, before, step, weights[name], constants[name]))
                look.backward(name, layer, step, constants[name])
            spikes = step.activation.spikes
    health = look.weights()
    for name, count in rates.items():
        health |= idle_neurons(name, count / (len(batch.input) * len(batch.labels)))
    return Observation(health, look.histograms)


def observe_run(run: Run, learner: LocalLearner) -> Observation:
    """Health of the quantization and values for histograms, of always the same training recordings, as many as a batch."""
    rounding = run.settings.rates_at(max(1, run.state.epoch), 0, run.task.batches_per_epoch).rounding
    how = Settings(learner.burn_in, learner.dropout, rounding, learner.backend)
    return observe_batch(run.state, run.task.example_batch(), how)
