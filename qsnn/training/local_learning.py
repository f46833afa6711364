"""Local learning, a way to learn: every layer updates its own weights at every time step after burn-in."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from qsnn.data.events.batches import Batch
from qsnn.dynamics.dropout import dropout_mask
from qsnn.errors import NonFiniteError
from qsnn.kernels.backend import Backend
from qsnn.kernels.workers import ONE, Workers
from qsnn.layers.local_layer import LayerConstants, LayerStep, LocalGradient, LocalLayer
from qsnn.models.local_net import LocalNet
from qsnn.models.spike_counts import INPUT, OUTPUT, TRACE, VOTING_TRACE
from qsnn.quantization import symmetric
from qsnn.training.class_scores import LayerTally, count_of_all
from qsnn.training.run import Rates
from qsnn.training.state import TrainingState

Learn = Callable[[str, LayerStep, Tensor, int], None]


def _count_spikes(tally: LayerTally, step: LayerStep, arrived: Tensor | None, votes: bool, last: bool) -> None:
    """Add those of a step, before pooling; by place, if what ``arrived`` is given. ``votes``: the layer does in this step;
    ``last``: it is the net's."""
    tally.spikes += int(step.membrane.num_spikes)
    tally.neuron_steps += step.membrane.membrane.numel()
    if arrived is not None:
        _count_by_place(tally, arrived, step, votes, last)


def _count_by_place(tally: LayerTally, spikes: Tensor, step: LayerStep, votes: bool, last: bool) -> None:
    """Add those of each neuron, and what came in at each place; of the last layer also what it hands on, if it pools."""
    spiked = (step.membrane.membrane >= 0).sum(0, dtype=torch.float64).flatten()
    tally.by_neuron = spiked if tally.by_neuron is None else tally.by_neuron + spiked
    arrived = {INPUT: spikes, TRACE: step.trace, VOTING_TRACE: step.trace if votes else step.trace[:0]}
    if last and step.activation.spikes.shape != step.membrane.membrane.shape:
        arrived[OUTPUT] = step.activation.spikes
    for way, values in arrived.items():
        counts = (values != 0).sum(0, dtype=torch.float64).flatten()
        tally.arrived[way] = tally.arrived[way] + counts if way in tally.arrived else counts


def run_batch(
    model: LocalNet, batch: Batch, burn_in: int, weights: dict[str, tuple[Tensor, Tensor]],
    constants: dict[str, LayerConstants], learn: Learn | None = None, keep_raster: bool = False, by_neuron: bool = False,
    workers: Workers = ONE,
) -> dict[str, LayerTally]:  # fmt: skip
    """Present a batch from rest, step by step; ``learn(layer name, step, readout, time)`` is called after burn-in.

    ``weights`` (`LocalLayer.effective_weights` by layer) is read anew at every step, so that ``learn`` can change it.
    ``batch.input`` is of the samples that this process has of it; readouts and votes are those of all.
    """
    own = batch.input.shape[1]
    samples = own if workers.size == 1 else len(batch.labels)
    layers, states = model.layers, model.initial_states(own)
    first, last = next(iter(layers.values())), list(layers)[-1]
    device, maps = first.weight.device, (own, *first.tau_mem.shape)
    one = torch.ones(samples, 1, dtype=torch.int64, device=device)
    votes = {name: torch.zeros(samples, model.num_classes, dtype=torch.int64, device=device) for name in layers}
    steps = samples * max(0, len(batch.input) - burn_in)
    tallies = {name: LayerTally(votes[name], steps=steps) for name in layers}
    for tally in tallies.values() if keep_raster else ():
        tally.raster, tally.course = [], []
    for time, events in enumerate(batch.input.to(device)):
        spikes = events.to(torch.float32).reshape(maps)
        for name, layer in layers.items():
            step, states[name] = layer(spikes, states[name], weights[name], constants[name])
            tally = tallies[name]
            _count_spikes(tally, step, spikes if by_neuron else None, time >= burn_in, name == last)
            spikes = step.activation.spikes
            if tally.raster is not None:
                tally.raster.append(spikes[0].flatten())
            if time >= burn_in:
                readout, step = layer.of_whole_batch(step, constants[name], workers, samples)
                votes[name].scatter_add_(1, readout.argmax(1, keepdim=True), one)
                if learn is not None:
                    learn(name, step, readout, time)
            if tally.course is not None:
                tally.course.append(votes[name][0].clone())
    count_of_all(tallies, workers)
    return tallies


@torch.no_grad()
def evaluate_batch(
    model: LocalNet, batch: Batch, burn_in: int, keep_raster: bool = False, by_neuron: bool = False
) -> dict[str, LayerTally]:
    """Votes and spikes of a batch, without dropout and without learning."""
    weights = {name: layer.effective_weights() for name, layer in model.layers.items()}
    return run_batch(model, batch, burn_in, weights, model.constants(), keep_raster=keep_raster, by_neuron=by_neuron)


@torch.no_grad()
def train_batch(
    state: TrainingState,
    batch: Batch,
    burn_in: int,
    dropout: float,
    rates: Rates,
    backend: Backend,
    workers: Workers = ONE,
) -> dict[str, LayerTally]:
    """Learn from a batch. ``dropout`` is a probability, and drawn for the samples of all processes in each of them.

    Raises NonFiniteError, naming the tensor and the epoch, if a weight stops being finite.
    """
    model, layers, constants = state.model, state.model.layers, state.model.constants()
    weights = {name: layer.effective_weights() for name, layer in layers.items()}
    num_steps, batch_size = len(batch.input), len(batch.labels)
    masks = {
        name: _dropout_mask(state, name, (num_steps - burn_in, batch_size, model.num_classes), dropout)
        for name in layers
    }
    target = functional.one_hot(batch.labels, model.num_classes).to(torch.float32).to(next(model.parameters()).device)
    learned = {name: LayerTally(target) for name in layers}
    first = state.step + 1 - burn_in

    def learn(name: str, step: LayerStep, readout: Tensor, time: int) -> None:
        layer, sums = layers[name], learned[name]
        gradient = layer.gradient(step, readout, target, masks[name][time - burn_in], constants[name], workers)
        sums.updates += update_layer(state, layer, name, gradient, rates, first + time, backend)
        sums.weight_steps += layer.weight.numel() + layer.bias.numel()
        sums.loss += gradient.loss.item()
        weights[name] = layer.effective_weights()

    tallies = run_batch(model, batch, burn_in, weights, constants, learn, workers=workers)
    for name, sums in learned.items():
        tally = tallies[name]
        tally.loss, tally.updates, tally.weight_steps = sums.loss, sums.updates, sums.weight_steps
    state.step += max(0, num_steps - burn_in)
    _check_finite(state)
    return tallies


def _dropout_mask(state: TrainingState, name: str, shape: tuple[int, ...], dropout: float) -> Tensor:
    """1 with probability ``1 - dropout``, else 0; for all time steps of a batch at once."""
    key, device = f"{name}/dropout", next(state.model.parameters()).device
    mask, state.streams[key] = dropout_mask(state.streams[key], shape, dropout, device)
    return mask


def update_layer(
    state: TrainingState, layer: LocalLayer, name: str, gradient: LocalGradient,
    rates: Rates, number: int, backend: Backend,
) -> int:  # fmt: skip
    """Change weights and bias, their slots and streams, by update ``number``; how many of them moved."""
    moved, rule, rounding = 0, state.rule._replace(lr=state.rule.lr * rates.lr_factor), rates.rounding[name]
    for part, values in (("weight", gradient.weight), ("bias", gradient.bias)):
        key, parameter = f"{name}.{part}", getattr(layer, part)
        flat, state.streams[key], code = layer.rounded_gradient(values, state.streams[key], rounding, backend)
        state.largest_codes[name] = max(state.largest_codes[name], code)
        stored = parameter.data.view(flat.shape)
        stored, state.slots[key] = backend.update_weights(rule, stored, flat, state.slots[key], number)
        fmt = symmetric(rounding.gradient_bits)
        if fmt is not None:
            stored = stored.clamp_(fmt.smallest, fmt.largest)
        parameter.data = stored.view(parameter.shape)
        moved += int(flat.bool().sum())  # count_nonzero is ten times slower
    return moved


def _check_finite(state: TrainingState) -> None:
    for name, parameter in state.model.named_parameters():
        if not parameter.isfinite().all():
            raise NonFiniteError(
                f"{name} is not finite in epoch {state.epoch + 1}: training stopped, the last good "
                "checkpoint is kept; try a smaller optimizer.lr_full_precision or optimizer.eta"
            )


class LocalLearner(NamedTuple):
    """Learns by `train_batch`. ``burn_in``: time steps without learning and without votes."""

    burn_in: int
    dropout: float
    backend: Backend
    workers: Workers = ONE

    @property
    def backend_name(self) -> str:
        """The kernels it computes with."""
        return self.backend.name

    def learn(
        self, state: TrainingState, batch: Batch, rates: Rates, keep: bool, before_update: Callable[[float], None]
    ) -> dict[str, LayerTally]:
        """`train_batch`. The weights move while the batch is presented: nobody is told of a loss before."""
        return train_batch(state, batch, self.burn_in, self.dropout, rates, self.backend, self.workers)

    def tallies(self, lesson: dict[str, LayerTally], batch: Batch) -> dict[str, LayerTally]:
        """The lesson itself."""
        return lesson

    def evaluate(
        self, model: LocalNet, batch: Batch, keep_raster: bool = False, by_neuron: bool = False
    ) -> dict[str, LayerTally]:
        """`evaluate_batch`."""
        return evaluate_batch(model, batch, self.burn_in, keep_raster, by_neuron)


def dropout_streams(model: LocalNet) -> list[str]:
    """Names of the random streams beside those that round gradients."""
    return [f"{name}/dropout" for name in model.layers]
