"""Quantized backpropagation through time, a way to learn: forward, loss, backward, gradient rounding, optimizer."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qsnn.data.events.batches import Batch
from qsnn.data.sources.pattern import Pattern
from qsnn.dynamics import UpdateRule
from qsnn.errors import NonFiniteError
from qsnn.kernels.backend import Backend, GradientRounding, StoredWeight, WeightUpdate
from qsnn.kernels.workers import ONE, Workers
from qsnn.layers import SpikingActivity
from qsnn.models import Activity, SpikingNet
from qsnn.models.spike_counts import arrivals, by_place
from qsnn.training.class_scores import LayerTally, count_of_all, joined
from qsnn.training.run import Rates
from qsnn.training.state import TrainingState

MOST_VALUES = 2**26
"""Of each quantity that a net keeps over a sequence, in evaluation: a quarter of a gigabyte."""


class StepResult(NamedTuple):
    """What a batch measured. ``gradients``: weight gradients by ``<layer>.<part>`` before rounding; ``rounded``: after it,
    empty unless they were to be kept; ``rounding``: how, by layer; ``tallies``: of the samples of all processes that share a
    run, None of one that is alone."""

    loss: float
    activity: Activity
    gradients: dict[str, Tensor]
    rounded: dict[str, Tensor]
    rounding: dict[str, GradientRounding]
    tallies: dict[str, LayerTally] | None = None


def _not_finite(name: str, tensor: Tensor, epoch: int) -> NonFiniteError:
    kind = "NaN" if tensor.isnan().any() else "Inf"
    return NonFiniteError(
        f"{name} holds {kind} in epoch {epoch}: training stopped, the last good checkpoint is kept; "
        "try a smaller optimizer.lr or optimizer.eta"
    )


def check_finite(name: str, tensor: Tensor, epoch: int, backend: Backend) -> None:
    """Raise NonFiniteError, naming the tensor and the epoch, if it holds NaN or Inf."""
    if not backend.all_finite(tensor):
        raise _not_finite(name, tensor, epoch)


def rule_at(state: TrainingState, rates: Rates) -> UpdateRule:
    """The update rule at the learning rate of now."""
    return state.rule._replace(lr=state.rule.lr * rates.lr_factor)


def _update(state: TrainingState, gradients: dict[str, Tensor], rates: Rates, keep_rounded: bool) -> dict[str, Tensor]:
    """Round every weight gradient and let the rule change the weights; the rounded gradients, if asked for.

    Tensors of more than two dimensions are seen as rows, one an output channel.
    """
    rule, weights = rule_at(state, rates), state.model.weights()
    layers = [
        StoredWeight(
            w.weight.flatten(1), gradients[name].flatten(1), state.slots[name], state.streams[name],
            rates.rounding[name.split(".")[0]], w.weight_bits,
        )
        for name, w in weights.items()
    ]  # fmt: skip
    updates = next(iter(weights.values())).backend.train_weights(rule, state.step + 1, keep_rounded, layers)
    return take_updates(state, weights, updates)


def take_updates(state: TrainingState, weights: dict[str, Any], updates: list[WeightUpdate]) -> dict[str, Tensor]:
    """Note what was done to the weights; the rounded gradients that were kept. Raises NonFiniteError."""
    kept = {}
    for (name, w), layer, update in zip(weights.items(), list(state.largest_codes), updates, strict=True):
        if not update.finite:
            raise _not_finite(name, w.weight, state.epoch + 1)
        state.slots[name], state.streams[name] = update.slots, update.stream
        state.largest_codes[layer] = max(state.largest_codes[layer], update.largest_code)
        if update.rounded is not None:
            kept[name] = update.rounded.view_as(w.weight)
    return kept


@torch.no_grad()
def train_step(
    state: TrainingState,
    x: Tensor,
    target: Tensor,
    loss: Any,
    rates: Rates,
    keep: bool = False,
    before_update: Callable[[float], None] = lambda loss: None,
) -> StepResult:
    """Learn from a batch, presented from rest, by one update, and return what was measured before it.

    ``before_update`` is told the loss. With ``keep`` the gradient at every layer's input current stays on
    ``activity[<layer>].current.grad``, and the rounded gradients are returned.
    Raises NonFiniteError, naming tensor and epoch, before a bad update can reach a checkpoint.
    """
    model, epoch = state.model, state.epoch + 1
    backend = next(iter(model.weights().values())).backend
    model.clamp_weights()
    found = model.gradients(x, target, loss)
    for name, layer in found.activity.items():
        check_finite(f"{name}.membrane", layer.membrane, epoch, backend)
        if keep:
            layer.current.grad = found.currents[name]
    if not math.isfinite(found.loss):
        raise _not_finite("the loss", torch.tensor(found.loss), epoch)
    for name, gradient in found.weights.items():
        check_finite(f"{name}.grad", gradient, epoch, backend)
    before_update(found.loss)
    rounded = _update(state, found.weights, rates, keep)
    state.step += 1
    return StepResult(found.loss, found.activity, found.weights, rounded, rates.rounding)


class BPTTLearner(NamedTuple):
    """Learns by `train_step`."""

    loss: Any
    backend_name: str
    workers: Workers = ONE

    def learn(
        self, state: TrainingState, batch: Any, rates: Rates, keep: bool, before_update: Callable[[float], None]
    ) -> StepResult:
        """`train_step`. ``batch``: input spikes, and a target raster or labels."""
        device = next(iter(state.model.trained_tensors().values())).device
        x, target = batch[0].to(device), batch[1].to(device)
        done = train_step(state, x, target, self.loss, rates, keep, before_update)
        return done if self.workers.size == 1 else self._of_all(done, len(target), keep)

    @torch.no_grad()
    def _of_all(self, done: StepResult, samples: int, keep: bool) -> StepResult:
        """What was measured in the whole batch; with ``keep`` what its layers did too, else this process' part of that."""
        tallies = tally_layers(done.activity, self.loss)
        count_of_all(tallies, self.workers)
        last = list(tallies)[-1]
        votes = tallies[last].votes
        assert votes is not None
        tallies[last].votes = self.workers.joined(votes, samples)
        activity = joined_activity(done.activity, self.workers, samples) if keep else done.activity
        return done._replace(tallies=tallies, activity=activity)

    def tallies(self, lesson: StepResult, batch: Batch) -> dict[str, LayerTally]:
        """What a batch of labelled recordings measured, by layer."""
        tallies = tally_layers(lesson.activity, self.loss) if lesson.tallies is None else lesson.tallies
        last = list(tallies)[-1]
        tallies[last].loss, tallies[last].steps = lesson.loss * len(batch.labels), len(batch.labels)
        return tallies

    @torch.no_grad()
    def evaluate(
        self, model: SpikingNet, batch: Batch, keep_raster: bool = False, by_neuron: bool = False
    ) -> dict[str, LayerTally]:
        """Predictions and spikes of a batch, without learning. As many samples at a time as `MOST_VALUES` have room."""
        device = next(iter(model.trained_tensors().values())).device
        neurons = sum(layer.num_neurons for layer in model.layers.values())
        samples = max(1, MOST_VALUES // max(1, len(batch.input) * neurons))
        parts: list[dict[str, LayerTally]] = []
        for x in batch.input.split(samples, dim=1):
            x = x.to(device, torch.float32)
            activity, _ = model(x)
            parts.append(tally_layers(activity, self.loss, keep_raster and not parts, by_neuron))
            if by_neuron:
                for name, arrived in arrivals(x, activity, model).items():
                    parts[-1][name].arrived = arrived
        return {name: joined([part[name] for part in parts]) for name in parts[0]}


def joined_activity(activity: Activity, workers: Workers, samples: int) -> Activity:
    """What the layers did in a batch of ``samples``, with the gradients at their currents, from each process' part of it."""
    whole = Activity()
    for name, layer in activity.items():
        whole[name] = SpikingActivity(*(workers.joined(part.detach(), samples, dim=1) for part in layer))
        if layer.current.grad is not None:
            whole[name].current.grad = workers.joined(layer.current.grad, samples, dim=1)
    return whole


def tally_layers(
    activity: Activity, loss: Any, keep_raster: bool = False, by_neuron: bool = False
) -> dict[str, LayerTally]:
    """Spikes of each layer and, of the last one, logits in the place of votes. ``keep_raster``: also the spikes that the first
    sample's layers hand on. ``by_neuron``: also the spikes of each neuron."""
    tallies = {}
    for name, layer in activity.items():
        spikes = layer.spikes
        tallies[name] = LayerTally(
            None, spikes=int(spikes.sum(dtype=torch.float64)), neuron_steps=spikes.numel(),
            raster=list(layer.output[:, 0].flatten(1)) if keep_raster and spikes.numel() else None,
            by_neuron=by_place(spikes) if by_neuron else None,
        )  # fmt: skip
    last = list(activity)[-1]
    output = activity[last].output
    tallies[last].votes = loss.logits(output)
    if keep_raster:
        tallies[last].course = [loss.logits(output[: t + 1, :1])[0] for t in range(len(output))]
    return tallies


@torch.no_grad()
def evaluate(model: SpikingNet, pattern: Pattern, loss: Any) -> tuple[dict[str, float], Activity]:
    """Distance, the same relative to a silent net, and firing rates (spikes per neuron and step) of the net as it is."""
    activity, _ = model(pattern.input)
    distance = loss(list(activity.values())[-1].output, pattern.target).item()
    return {**score(distance, silent_distance(pattern, loss)), **firing_rates(activity)}, activity


def silent_distance(pattern: Pattern, loss: Any) -> float:
    """The distance of a net that never spikes: what every result is relative to."""
    return float(loss(torch.zeros_like(pattern.target), pattern.target))


def score(distance: float, silent_distance: float) -> dict[str, float]:
    """The distance, and relative to that of a net that never spikes (0 is perfect, 1 no better than silence), which is above
    0: a target without spikes is refused."""
    return {"distance": distance, "relative_distance": distance / silent_distance}


def firing_rates(activity: Activity) -> dict[str, float]:
    """Spikes per neuron and time step, by layer. Counted in double: a mean of floats differs from device to device."""
    return {
        f"rate_{name}": layer.spikes.detach().sum(dtype=torch.float64).item() / layer.spikes.numel()
        for name, layer in activity.items()
        if layer.spikes.numel()
    }


def gradient_norms(gradients: dict[str, Tensor]) -> dict[str, float]:
    """Of weight gradients before rounding, by layer."""
    named = {name.removesuffix(".weight").removesuffix("_weight"): gradient for name, gradient in gradients.items()}
    return {f"gradient_norm_{name}": gradient.norm().item() for name, gradient in named.items()}
