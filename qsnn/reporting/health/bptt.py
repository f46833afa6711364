"""Health of backpropagation through time: of the batch that has just been learned from."""

from torch import Tensor

from qsnn.layers import SpikingActivity
from qsnn.layers.activity import Layer
from qsnn.quantization import shift, symmetric
from qsnn.reporting.health.code_tally import CodeTally
from qsnn.reporting.health.figures import Observation, Values, code_health, idle_neurons
from qsnn.training.bptt import StepResult
from qsnn.training.code_changes import share_never_changed
from qsnn.training.run import Run
from qsnn.training.state import TrainingState


def _states_health(name: str, layer: Layer, activity: SpikingActivity) -> dict[str, float]:
    """Membrane and synapse, before they are quantized."""
    raw = layer.raw_states(activity)
    figures = {}
    for state, bits in zip(("membrane", "synapse"), reversed(layer.state_widths()), strict=True):
        if bits:
            for figure, value in code_health(getattr(raw, state), symmetric(bits, layer.state_range)).items():
                figures[f"{name}.{state}/{figure}"] = value
    return figures


def _gradient_health(gradient: Tensor, rounded: Tensor, bits: int) -> dict[str, float]:
    """As `code_health`, of a weight gradient and what stochastic rounding made of it."""
    tally = CodeTally()
    tally.add_gradient(gradient, rounded, bits)
    return tally.figures()


def _neurons_health(name: str, spikes: Tensor) -> dict[str, float]:
    """Shares of neurons without a spike, and with one in nine of ten steps or more."""
    return idle_neurons(name, spikes.mean(dim=(0, 1)))


def measure_health(state: TrainingState, step: StepResult) -> dict[str, float]:
    """All figures of an epoch, ``<layer>.<tensor>/<figure>``. ``step`` must come from a step with ``keep``."""
    figures: dict[str, float] = {}
    for name, layer in state.model.layers.items():
        activity = step.activity[name]
        parts: dict[str, dict[str, float]] = {}
        for part, weights in layer.weights().items():
            key, gradient_bits = part.removesuffix("_weight"), step.rounding[name].gradient_bits
            if weights.weight_bits is not None:
                parts[key] = code_health(weights.weight.detach(), symmetric(weights.weight_bits))
            if gradient_bits is not None:
                tensor, found = f"{name}.{part}", "gradient" if part == "weight" else f"{key}_gradient"
                parts[found] = _gradient_health(step.gradients[tensor], step.rounded[tensor], gradient_bits)
            if part == "weight" and weights.error_bits is not None and activity.current.grad is not None:
                error = activity.current.grad
                parts["error"] = code_health(error / shift(error.abs().max()), symmetric(weights.error_bits))
        figures |= {f"{name}.{part}/{figure}": v for part, values in parts.items() for figure, v in values.items()}
        figures |= _states_health(name, layer, activity)
        if activity.spikes.numel():
            figures |= _neurons_health(name, activity.spikes.detach())
    shares = share_never_changed(state.model.stored_weights(), state.initial_codes, state.changed)
    for name, share in shares.items():
        figures[f"{name}{'' if '.' in name else '.weight'}/never_changed"] = share
    return figures


def observe_step(run: Run, step: StepResult, health: bool) -> Observation:
    """Health of the quantization, if asked for, and membranes."""
    membranes = {
        f"membrane/{name}": Values(
            step.activity[name].membrane.detach(), symmetric(layer.state_widths()[1], layer.state_range)
        )
        for name, layer in run.state.model.layers.items()
    }
    return Observation(measure_health(run.state, step) if health else {}, membranes)
