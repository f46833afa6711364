"""One epoch of quantized backpropagation through time: forward, loss, backward, gradient rounding, optimizer."""

from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.data import Pattern
from qsnn.errors import NonFiniteError
from qsnn.kernels.backend import Backend
from qsnn.losses import VanRossumDistance
from qsnn.models import PatternNet, PatternNetActivity
from qsnn.training.state import Best, TrainingState


class GradientRounding(NamedTuple):
    """How weight gradients are rounded; ``gradient_bits=None`` hands them to the optimizer as they are."""

    eta: float
    gradient_bits: int | None
    rng_bits: int


class StepResult(NamedTuple):
    """What an epoch measured. ``gradients``: weight gradients by layer before rounding, ``rounded`` after it."""

    distance: float
    activity: PatternNetActivity
    gradients: dict[str, Tensor]
    rounded: dict[str, Tensor]


def check_finite(name: str, tensor: Tensor, epoch: int, backend: Backend) -> None:
    """Raise NonFiniteError, naming the tensor and the epoch, if it holds NaN or Inf."""
    if not backend.all_finite(tensor):
        kind = "NaN" if tensor.isnan().any() else "Inf"
        raise NonFiniteError(
            f"{name} holds {kind} in epoch {epoch}: training stopped, the last good checkpoint is kept; "
            "try a smaller optimizer.lr or optimizer.eta"
        )


@torch.no_grad()
def _update(state: TrainingState, rounding: GradientRounding, lr_factor: float, epoch: int) -> dict[str, Tensor]:
    """Round every weight gradient, let the rule change the weights, and return the rounded gradients."""
    updates, rule = {}, state.rule._replace(lr=state.rule.lr * lr_factor)
    for name, linear in state.model.linears().items():
        backend, gradient = linear.backend, linear.gradient()
        if rounding.gradient_bits is not None:
            gradient, state.streams[name] = backend.round_gradient(
                gradient, state.streams[name], rounding.eta, rounding.gradient_bits, rounding.rng_bits
            )
        weight, state.slots[name] = backend.update_weights(rule, linear.weight.data, gradient, state.slots[name], epoch)
        check_finite(f"{name}.weight", weight, epoch, backend)
        linear.weight.data = weight
        updates[name] = gradient
    return updates


def _keep_best(state: TrainingState, epoch: int, distance: float) -> None:
    """Copy the weights if they are the best so far. Called between loss and update."""
    if state.best is None or distance < state.best.distance:
        weights = {name: tensor.detach().clone() for name, tensor in state.model.state_dict().items()}
        state.best = Best(epoch, distance, weights)


def train_step(
    state: TrainingState,
    pattern: Pattern,
    loss: VanRossumDistance,
    rounding: GradientRounding,
    lr_factor: float,
    keep_errors: bool,
) -> StepResult:
    """Train ``state`` for one epoch on the whole pattern and return what it measured before the update.

    ``lr_factor`` multiplies the update rule's learning rate.
    With ``keep_errors`` the gradient at every layer's input current stays on ``activity.<layer>.current.grad``.
    Raises NonFiniteError, naming tensor and epoch, before a bad update can reach a checkpoint.
    """
    model, epoch, backend = state.model, state.epoch + 1, loss.backend
    model.clamp_weights()
    model.zero_grad(set_to_none=True)
    activity, _ = model(pattern.input)
    if keep_errors:
        for layer in activity:
            layer.current.retain_grad()
    distance = loss(activity.output.spikes, pattern.target)
    for name, layer in activity._asdict().items():
        check_finite(f"{name}.membrane", layer.membrane, epoch, backend)
    check_finite("distance", distance.detach(), epoch, backend)
    distance.backward()
    gradients = {name: linear.gradient() for name, linear in model.linears().items()}
    for name, gradient in gradients.items():
        check_finite(f"{name}.weight.grad", gradient, epoch, backend)
    _keep_best(state, epoch, distance.item())
    rounded = _update(state, rounding, lr_factor, epoch)
    state.epoch = epoch
    return StepResult(distance.item(), activity, gradients, rounded)


@torch.no_grad()
def evaluate(
    model: PatternNet, pattern: Pattern, loss: VanRossumDistance
) -> tuple[dict[str, float], PatternNetActivity]:
    """Distance, the same relative to a silent net, and firing rates (spikes per neuron and step) of the net as it is."""
    activity, _ = model(pattern.input)
    distance = loss(activity.output.spikes, pattern.target).item()
    return {**score(distance, loss.of_silence(pattern.target)), **firing_rates(activity)}, activity


def score(distance: float, silent_distance: float) -> dict[str, float]:
    """The distance, and relative to that of a net that never spikes (0 is perfect, 1 no better than silence)."""
    return {"distance": distance, "relative_distance": distance / silent_distance if silent_distance else 0.0}


def firing_rates(activity: PatternNetActivity) -> dict[str, float]:
    """Spikes per neuron and time step, by layer."""
    return {f"rate_{name}": layer.spikes.detach().mean().item() for name, layer in activity._asdict().items()}
