"""Is the quantization healthy? Saturation, underflow and codes in use of every quantized tensor; idle neurons."""

from typing import NamedTuple

from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFState
from qsnn.dynamics.cuba_lif import states_before
from qsnn.layers import SpikingActivity, SpikingLinear
from qsnn.quantization import Format, shift, symmetric
from qsnn.reporting.code_tally import CodeTally
from qsnn.training.bptt import GradientRounding, StepResult
from qsnn.training.code_changes import share_never_changed
from qsnn.training.state import TrainingState

ALWAYS_FIRING_RATE = 0.9


class Limits(NamedTuple):
    """Shares above which a warning is printed. Each is a share in 0..1 of a tensor's values or a layer's neurons."""

    saturation: float
    underflow: float
    never_changed: float
    silent: float
    always_firing: float


def code_health(raw: Tensor, fmt: Format) -> dict[str, float]:
    """Of values before they are quantized, any shape: three figures.

    saturation: share that reaches or passes an end of the range. underflow: share of the non-zero values that becomes
    zero. codes_in_use: how many different codes they take.
    """
    tally = CodeTally()
    tally.add_quantized(raw, fmt)
    return tally.figures()


def _states_health(name: str, layer: SpikingLinear, activity: SpikingActivity) -> dict[str, float]:
    """Membrane and synapse, before they are quantized."""
    dynamics = layer.lif.dynamics
    recorded = LIFActivity(activity.spikes, activity.synapse, activity.membrane)
    before = states_before(recorded, LIFState.zeros(activity.current[0]))
    raw = dynamics.raw_states(before, activity.current, activity.spikes)
    figures = {}
    for state, bits in (("membrane", dynamics.membrane_bits), ("synapse", dynamics.synapse_bits)):
        if bits is not None:
            for figure, value in code_health(getattr(raw, state), symmetric(bits)).items():
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


def idle_neurons(name: str, rates: Tensor) -> dict[str, float]:
    """The same from each neuron's spikes a time step, any shape."""
    return {
        f"{name}/silent": (rates == 0).float().mean().item(),
        f"{name}/always_firing": (rates >= ALWAYS_FIRING_RATE).float().mean().item(),
    }


def measure_health(state: TrainingState, step: StepResult, rounding: GradientRounding) -> dict[str, float]:
    """All figures of an epoch, ``<layer>.<tensor>/<figure>``. ``step`` must come from a step with ``keep_errors``."""
    figures: dict[str, float] = {}
    for name, layer in state.model.layers.items():
        linear, activity = layer.linear, step.activity[name]
        parts: dict[str, dict[str, float]] = {}
        if linear.weight_bits is not None:
            parts["weight"] = code_health(linear.weight.detach(), symmetric(linear.weight_bits))
        if linear.error_bits is not None and activity.current.grad is not None:
            error = activity.current.grad
            parts["error"] = code_health(error / shift(error.abs().max()), symmetric(linear.error_bits))
        if rounding.gradient_bits is not None:
            parts["gradient"] = _gradient_health(step.gradients[name], step.rounded[name], rounding.gradient_bits)
        figures |= {f"{name}.{part}/{figure}": v for part, values in parts.items() for figure, v in values.items()}
        figures |= _states_health(name, layer, activity) | _neurons_health(name, activity.spikes.detach())
    shares = share_never_changed(state.model.stored_weights(), state.initial_codes, state.changed)
    for name, share in shares.items():
        figures[f"{name}.weight/never_changed"] = share
    return figures


def crossed_limits(figures: dict[str, float], limits: Limits) -> list[str]:
    """The keys of all figures above their limit."""
    bounds = limits._asdict()
    return [key for key, value in figures.items() if value > bounds.get(key.rsplit("/", 1)[1], float("inf"))]
