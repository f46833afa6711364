"""What a trainer is given to build a run: the chosen options, and what every run has."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch

from qsnn.dynamics.surrogate import range_of
from qsnn.kernels.backend import Backend, GradientRounding
from qsnn.kernels.workers import ONE, Workers
from qsnn.quantization import quantize, symmetric
from qsnn.quantization.bit_widths import MAX_BITS


class RunConfig(Protocol):
    """The checked config; each group's attribute is the option that was chosen."""

    seed: int
    model: Any
    quantization: Any
    neuron: Any
    dataset: Any
    loss: Any
    trainer: Any
    optimizer: Any
    logging: Any


class Machine(NamedTuple):
    """What a run computes with; ``backend``: of a process that shares it, `over_parts`."""

    device: torch.device
    backend: Backend
    workers: Workers = ONE


def _spikes_at_most(bits: int, threshold: float, full_scale: float) -> bool:
    """Whether a membrane at the largest state of ``bits`` spikes."""
    fmt = symmetric(bits, full_scale)
    return bool(quantize(torch.tensor(fmt.largest) - threshold, fmt) > 0)


def threshold_problems(config: RunConfig) -> Iterator[str]:
    """A membrane that cannot exceed the threshold by half a step of its own grid never spikes."""
    given, threshold, full_scale = config.quantization.membrane_bits, config.neuron.threshold, range_of(config.neuron)
    for bits in sorted({bits for bits in (given if isinstance(given, list) else [given]) if type(bits) is int}):
        if not 1 <= bits <= MAX_BITS or _spikes_at_most(bits, threshold, full_scale):
            continue
        enough = next(
            (more for more in range(bits + 1, MAX_BITS + 1) if _spikes_at_most(more, threshold, full_scale)), None
        )
        advice = f"use at least {enough} bits (quantization.state_bits={enough}), or" if enough else "use"
        yield (
            f"quantization.membrane_bits={bits} cannot reach neuron.threshold={threshold:g}: the largest state of {bits} bits "
            f"is {symmetric(bits, full_scale).largest:g}, so no neuron would ever spike; {advice} a lower neuron.threshold"
        )


def rounding_by_layer(config: RunConfig, layers: list[str]) -> dict[str, GradientRounding]:
    """How each layer's weight gradients are rounded."""
    eta, widths = config.optimizer.eta, config.quantization.by_layer(len(layers))
    return {
        name: GradientRounding(eta, bits.gradient_bits, bits.rng_bits, bits.rng_rule)
        for name, bits in zip(layers, widths, strict=True)
    }
