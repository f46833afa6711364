"""Figures of a quantized tensor and of a layer's neurons: saturation, underflow and codes in use; idle neurons."""

from typing import NamedTuple

from torch import Tensor

from qsnn.quantization import Format
from qsnn.reporting.health.code_tally import CodeTally

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


class Values(NamedTuple):
    """A tensor before it is quantized, in the unit of its format; None: it is not quantized."""

    raw: Tensor
    fmt: Format | None


class Observation(NamedTuple):
    """``health``: figures by ``<layer>.<tensor>/<figure>`` and ``<layer>/<figure>``; ``histograms``: values by
    ``<tensor>/<layer>``."""

    health: dict[str, float]
    histograms: dict[str, Values]


def idle_neurons(name: str, rates: Tensor) -> dict[str, float]:
    """The same from each neuron's spikes a time step, any shape."""
    return {
        f"{name}/silent": (rates == 0).float().mean().item(),
        f"{name}/always_firing": (rates >= ALWAYS_FIRING_RATE).float().mean().item(),
    }


def crossed_limits(figures: dict[str, float], limits: Limits) -> list[str]:
    """The keys of all figures above their limit."""
    bounds = limits._asdict()
    return [key for key, value in figures.items() if value > bounds.get(key.rsplit("/", 1)[1], float("inf"))]
