"""Checks of a composed config before anything is built: each failure names the key, the value and what to do."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from qsnn.config.schema import Config, PatternDatasetConfig
from qsnn.dynamics import DECAY_RULES, SCHEDULES, decay_factor
from qsnn.errors import ConfigError
from qsnn.quantization import quantize, symmetric

MAX_BITS, MAX_RNG_BITS = 16, 24
KERNELS = ("auto", "eager", "numba", "triton")


def require(condition: bool, name: str, value: Any, allowed: str) -> None:
    """Raise ConfigError unless ``condition`` holds."""
    if not condition:
        raise ConfigError(f"{name}={'null' if value is None else value} is not possible: {allowed}")


def check_config(config: Config) -> None:
    """Check every key that can be wrong without the data at hand. Raises ConfigError."""
    if not isinstance(config.dataset, PatternDatasetConfig):
        raise ConfigError("model=pattern_net retains a pattern, it does not tell recordings apart: use dataset=pattern")
    _check_bits(config)
    _check_numbers(config)
    _check_decays(config)
    _check_threshold(config)
    for name in ("lr_schedule", "eta_schedule"):
        schedule = getattr(config.optimizer, name)
        require(schedule in SCHEDULES, f"optimizer.{name}", schedule, f"allowed are {', '.join(SCHEDULES)}")
    require(config.kernels in KERNELS, "kernels", config.kernels, f"allowed are {', '.join(KERNELS)}")
    require(bool(config.name) and "/" not in config.name, "name", config.name, "it names a folder: no slash, not empty")


def _check_bits(config: Config) -> None:
    for name in ("weight_bits", "state_bits", "membrane_bits", "synapse_bits", "error_bits", "gradient_bits"):
        bits = getattr(config.quantization, name)
        allowed = f"allowed are 1..{MAX_BITS}, or null for full precision"
        require(bits is None or 1 <= bits <= MAX_BITS, f"quantization.{name}", bits, allowed)
    rng_bits = config.quantization.rng_bits
    require(1 <= rng_bits <= MAX_RNG_BITS, "quantization.rng_bits", rng_bits, f"allowed are 1..{MAX_RNG_BITS}")


def _numbers(config: Config) -> Iterator[tuple[str, float | None, float, float, bool]]:
    """(key, value, lowest, highest, lowest allowed too)."""
    for name in ("num_inputs", "num_hidden", "num_outputs", "fan_in"):
        yield f"model.{name}", getattr(config.model, name), 1, 1_000_000, True
    yield "model.init_beta", config.model.init_beta, 0, math.inf, False
    for name in ("dt", "tau_mem", "tau_syn", "tau_vr"):
        yield f"neuron.{name}", getattr(config.neuron, name), 0, math.inf, False
    yield "neuron.threshold", config.neuron.threshold, 0, math.inf, False
    yield "neuron.surrogate_slope", config.neuron.surrogate_slope, 0, math.inf, True
    yield "dataset.num_steps", config.dataset.num_steps, 1, 10_000_000, True
    yield "dataset.density", config.dataset.density, 0, 1, True
    yield "dataset.threshold", config.dataset.threshold, 0, 1, True
    yield "dataset.seed", config.dataset.seed, 0, 2**63, True
    yield "threads", config.threads, 1, 1024, True
    yield "seed", config.seed, 0, 2**63, True
    yield "trainer.epochs", config.trainer.epochs, 1, 10**9, True
    yield "trainer.checkpoint_every", config.trainer.checkpoint_every, 1, 10**9, True
    for name in ("lr", "lr_full_precision", "eta"):
        yield f"optimizer.{name}", getattr(config.optimizer, name), 0, math.inf, False
    yield "optimizer.num_halvings", config.optimizer.num_halvings, 1, 30, True
    for index, beta in enumerate(getattr(config.optimizer, "betas", [])):
        yield f"optimizer.betas[{index}]", beta, 0, 0.999999999, True
    yield "optimizer.eps", getattr(config.optimizer, "eps", None), 0, math.inf, True
    yield "optimizer.momentum", getattr(config.optimizer, "momentum", None), 0, 1, True
    for name in ("metrics_every", "health_every", "raster_every", "histogram_every"):
        yield f"logging.{name}", getattr(config.logging, name), 0, math.inf, True
    for name, value in vars(config.logging.limits).items():
        yield f"logging.limits.{name}", value, 0, 1, True


def _check_numbers(config: Config) -> None:
    for name, value, lowest, highest, closed in _numbers(config):
        if value is None:
            continue
        inside = (value >= lowest if closed else value > lowest) and value <= highest and math.isfinite(value)
        bound = f"{'at least' if closed else 'above'} {lowest:g}" + (
            f" and at most {highest:g}" if highest < math.inf else ""
        )
        require(inside, name, value, f"it must be {bound}")
    betas = getattr(config.optimizer, "betas", [0, 0])
    require(len(betas) == 2, "optimizer.betas", betas, "give two numbers, such as [0.9,0.999]")


def _check_decays(config: Config) -> None:
    neuron = config.neuron
    require(neuron.decay in DECAY_RULES, "neuron.decay", neuron.decay, f"allowed are {', '.join(DECAY_RULES)}")
    for tau, override in (("tau_mem", "membrane_decay"), ("tau_syn", "synapse_decay"), ("tau_vr", "van_rossum_decay")):
        factor = getattr(neuron, override)
        if factor is not None:
            require(
                0 <= factor < 1, f"neuron.{override}", factor, "a decay per step lies in [0, 1); null follows the rule"
            )
            continue
        try:
            decay_factor(getattr(neuron, tau), neuron.dt, neuron.decay)
        except ValueError as error:
            raise ConfigError(f"neuron.{tau}: {error}; use a longer neuron.{tau} or a shorter neuron.dt") from error


def _spikes_at_most(bits: int, threshold: float) -> bool:
    """Whether a membrane at the largest state of ``bits`` spikes."""
    fmt = symmetric(bits)
    return bool(quantize(torch.tensor(fmt.largest) - threshold, fmt) > 0)


def _check_threshold(config: Config) -> None:
    """A membrane that cannot exceed the threshold by half a step of its own grid never spikes."""
    bits, threshold = config.quantization.membrane_bits, config.neuron.threshold
    if bits is None or _spikes_at_most(bits, threshold):
        return
    enough = next((more for more in range(bits + 1, MAX_BITS + 1) if _spikes_at_most(more, threshold)), None)
    advice = f"use at least {enough} bits (quantization.state_bits={enough}), or" if enough else "use"
    raise ConfigError(
        f"quantization.membrane_bits={bits} cannot reach neuron.threshold={threshold:g}: the largest state of {bits} bits "
        f"is {symmetric(bits).largest:g}, so no neuron would ever spike; {advice} a lower neuron.threshold"
    )
