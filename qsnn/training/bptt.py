"""Quantized backpropagation through time, a way to learn: forward, loss, backward, gradient rounding, optimizer."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.data.sources.pattern import Pattern
from qsnn.errors import NonFiniteError
from qsnn.kernels.backend import Backend, GradientRounding, StoredWeight
from qsnn.losses import VanRossumDistance
from qsnn.models import Activity, FeedforwardNet
from qsnn.training.run import Rates
from qsnn.training.state import TrainingState


class StepResult(NamedTuple):
    """What a batch measured. ``gradients``: weight gradients by layer before rounding; ``rounded``: after it, empty unless
    they were to be kept; ``rounding``: how."""

    distance: float
    activity: Activity
    gradients: dict[str, Tensor]
    rounded: dict[str, Tensor]
    rounding: dict[str, GradientRounding]


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


def _update(state: TrainingState, gradients: dict[str, Tensor], rates: Rates, keep_rounded: bool) -> dict[str, Tensor]:
    """Round every weight gradient and let the rule change the weights; the rounded gradients, if asked for."""
    rule, linears = state.rule._replace(lr=state.rule.lr * rates.lr_factor), state.model.linears()
    layers = [
        StoredWeight(
            linear.weight, gradients[name], state.slots[f"{name}.weight"], state.streams[f"{name}.weight"],
            rates.rounding[name], linear.weight_bits,
        )
        for name, linear in linears.items()
    ]  # fmt: skip
    updates = next(iter(linears.values())).backend.train_weights(rule, state.step + 1, keep_rounded, layers)
    kept = {}
    for (name, linear), update in zip(linears.items(), updates, strict=True):
        if not update.finite:
            raise _not_finite(f"{name}.weight", linear.weight, state.epoch + 1)
        state.slots[f"{name}.weight"], state.streams[f"{name}.weight"] = update.slots, update.stream
        state.largest_codes[name] = max(state.largest_codes[name], update.largest_code)
        if update.rounded is not None:
            kept[name] = update.rounded
    return kept


@torch.no_grad()
def train_step(
    state: TrainingState,
    pattern: Pattern,
    loss: VanRossumDistance,
    rates: Rates,
    keep: bool = False,
    before_update: Callable[[float], None] = lambda loss: None,
) -> StepResult:
    """Learn from a batch, presented from rest, by one update, and return what was measured before it.

    ``before_update`` is told the loss. With ``keep`` the gradient at every layer's input current stays on
    ``activity[<layer>].current.grad``, and the rounded gradients are returned.
    Raises NonFiniteError, naming tensor and epoch, before a bad update can reach a checkpoint.
    """
    model, epoch, backend = state.model, state.epoch + 1, loss.backend
    model.clamp_weights()
    found = model.gradients(pattern.input, pattern.target, loss.decay, loss.tau)
    for name, layer in found.activity.items():
        check_finite(f"{name}.membrane", layer.membrane, epoch, backend)
        if keep:
            layer.current.grad = found.currents[name]
    if not math.isfinite(found.distance):
        raise _not_finite("distance", torch.tensor(found.distance), epoch)
    for name, gradient in found.weights.items():
        check_finite(f"{name}.weight.grad", gradient, epoch, backend)
    before_update(found.distance)
    rounded = _update(state, found.weights, rates, keep)
    state.step += 1
    return StepResult(found.distance, found.activity, found.weights, rounded, rates.rounding)


class BPTTLearner(NamedTuple):
    """Learns by `train_step`."""

    loss: VanRossumDistance

    @property
    def backend_name(self) -> str:
        """The kernels it computes with."""
        return self.loss.backend.name

    def learn(
        self, state: TrainingState, batch: Pattern, rates: Rates, keep: bool, before_update: Callable[[float], None]
    ) -> StepResult:
        """`train_step`."""
        return train_step(state, batch, self.loss, rates, keep, before_update)


@torch.no_grad()
def evaluate(model: FeedforwardNet, pattern: Pattern, loss: VanRossumDistance) -> tuple[dict[str, float], Activity]:
    """Distance, the same relative to a silent net, and firing rates (spikes per neuron and step) of the net as it is."""
    activity, _ = model(pattern.input)
    distance = loss(activity["output"].spikes, pattern.target).item()
    return {**score(distance, loss.of_silence(pattern.target)), **firing_rates(activity)}, activity


def score(distance: float, silent_distance: float) -> dict[str, float]:
    """The distance, and relative to that of a net that never spikes (0 is perfect, 1 no better than silence)."""
    return {"distance": distance, "relative_distance": distance / silent_distance if silent_distance else 0.0}


def firing_rates(activity: Activity) -> dict[str, float]:
    """Spikes per neuron and time step, by layer. Counted in double: a mean of floats differs from device to device."""
    return {
        f"rate_{name}": layer.spikes.detach().sum(dtype=torch.float64).item() / layer.spikes.numel()
        for name, layer in activity.items()
    }
