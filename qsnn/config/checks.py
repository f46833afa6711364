"""Checks of a composed config before anything is built: each failure names the key, the value and what to do."""

import math

import torch

from qsnn.config.checks_local import check_local
from qsnn.config.require import MAX_BITS, Numbers, check_bits, check_numbers, require
from qsnn.config.schema import (
    BPTTConfig,
    Config,
    CubaLIFConfig,
    PatternDatasetConfig,
    PatternNetConfig,
    QuantizationConfig,
)
from qsnn.config.schema_datasets import EventDatasetConfig
from qsnn.config.schema_local import (
    LocalConvConfig,
    LocalMLPConfig,
    LocalQuantizationConfig,
    LocalTrainerConfig,
    TraceLIFConfig,
)
from qsnn.dynamics import DECAY_RULES, SCHEDULES, decay_factor
from qsnn.errors import ConfigError
from qsnn.quantization import quantize, symmetric

KERNELS = ("auto", "eager", "numba", "triton")


def check_config(config: Config) -> None:
    """Check every key that can be wrong without the data at hand. Raises ConfigError."""
    check_family(config)
    check_numbers(_common_numbers(config))
    for name in ("lr_schedule", "eta_schedule"):
        schedule = getattr(config.optimizer, name)
        require(schedule in SCHEDULES, f"optimizer.{name}", schedule, f"allowed are {', '.join(SCHEDULES)}")
    betas = getattr(config.optimizer, "betas", [0, 0])
    require(len(betas) == 2, "optimizer.betas", betas, "give two numbers, such as [0.9,0.999]")
    require(config.kernels in KERNELS, "kernels", config.kernels, f"allowed are {', '.join(KERNELS)}")
    require(bool(config.name) and "/" not in config.name, "name", config.name, "it names a folder: no slash, not empty")
    if isinstance(config.trainer, BPTTConfig):
        _check_pattern(config)
    else:
        check_local(config)


FAMILIES: dict[type, dict[str, tuple[tuple[type, ...], str]]] = {
    BPTTConfig: {
        "model": ((PatternNetConfig,), "model=pattern_net"),
        "quantization": ((QuantizationConfig,), "quantization=iscas or full_precision"),
        "neuron": ((CubaLIFConfig,), "neuron=cuba_lif"),
        "dataset": ((PatternDatasetConfig,), "dataset=pattern"),
    },
    LocalTrainerConfig: {
        "model": ((LocalConvConfig, LocalMLPConfig), "model=local_conv or local_mlp"),
        "quantization": ((LocalQuantizationConfig,), "quantization=icons or icons_full_precision"),
        "neuron": ((TraceLIFConfig,), "neuron=trace_lif"),
        "dataset": ((EventDatasetConfig,), "dataset=synthetic_gesture, nmnist, dvs_gesture or slow_poker"),
    },
}


def check_family(config: Config) -> None:
    """Raise ConfigError if a group's option belongs to the other kind of experiment than the trainer."""
    trainer = "bptt" if isinstance(config.trainer, BPTTConfig) else "local"
    example = "pattern" if trainer == "bptt" else "gesture_demo"
    for group, (classes, options) in FAMILIES[type(config.trainer)].items():
        if not isinstance(getattr(config, group), classes):
            raise ConfigError(
                f"trainer={trainer} goes with {options}, not with the {group} that is chosen; an experiment sets all groups "
                f"at once, such as experiment={example}"
            )


def _check_pattern(config: Config) -> None:
    """What only the pattern experiment has."""
    check_bits(config, ("weight_bits", "state_bits", "membrane_bits", "synapse_bits", "error_bits", "gradient_bits"))
    check_numbers(_pattern_numbers(config))
    _check_decays(config)
    _check_threshold(config)


def _common_numbers(config: Config) -> Numbers:
    """(key, value, lowest, highest, lowest allowed too) of what every experiment has."""
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


def _pattern_numbers(config: Config) -> Numbers:
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
