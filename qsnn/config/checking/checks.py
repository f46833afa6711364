"""Checks of a composed config before anything is built: each failure names the key, the value and what to do."""

import importlib.util
import math

import torch

from qsnn.config.checking.local import wrong_in_local
from qsnn.config.paths import wrong_name
from qsnn.config.require import (
    LONGEST_STEP,
    MAX_BITS,
    MAX_FACTOR,
    MAX_STEPS_OF_TAU,
    SHORTEST_STEP,
    Numbers,
    Problems,
    refuse,
    unless,
    wrong_bits,
    wrong_numbers,
)
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
    """Check every key that can be wrong without the data at hand. Raises one ConfigError with all that is wrong."""
    check_family(config)  # everything else depends on it
    own = _wrong_in_pattern if isinstance(config.trainer, BPTTConfig) else wrong_in_local
    refuse([*_wrong_everywhere(config), *own(config)])


def _wrong_everywhere(config: Config) -> Problems:
    """What every experiment has."""
    yield from wrong_numbers(_common_numbers(config))
    for name in ("lr_schedule", "eta_schedule"):
        schedule = getattr(config.optimizer, name)
        yield from unless(schedule in SCHEDULES, f"optimizer.{name}", schedule, f"allowed are {', '.join(SCHEDULES)}")
    betas = getattr(config.optimizer, "betas", [0, 0])
    yield from unless(len(betas) == 2, "optimizer.betas", betas, "give two numbers, such as [0.9,0.999]")
    yield from unless(config.kernels in KERNELS, "kernels", config.kernels, f"allowed are {', '.join(KERNELS)}")
    yield from wrong_name(config.name)
    board = not config.logging.tensorboard or importlib.util.find_spec("tensorboard") is not None
    yield from unless(board, "logging.tensorboard", True, "tensorboard is not installed: pip install it, or set false")


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


def _wrong_in_pattern(config: Config) -> Problems:
    """What only the pattern experiment has."""
    bits = ("weight_bits", "state_bits", "membrane_bits", "synapse_bits", "error_bits", "gradient_bits")
    wrong = [*wrong_bits(config, bits)]
    wrong_neuron = [*wrong_numbers(_neuron_numbers(config))]
    yield from [*wrong, *wrong_numbers(_pattern_numbers(config)), *wrong_neuron]
    if not wrong_neuron:
        yield from _wrong_decays(config)
    if not wrong_neuron and not wrong:
        yield from _unreachable_threshold(config)


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
    yield "model.init_beta", config.model.init_beta, 0, MAX_FACTOR, False
    yield "dataset.num_steps", config.dataset.num_steps, 1, 10_000_000, True
    yield "dataset.density", config.dataset.density, 0, 1, True
    yield "dataset.threshold", config.dataset.threshold, 0, 1, True
    yield "dataset.seed", config.dataset.seed, 0, 2**63, True


def _neuron_numbers(config: Config) -> Numbers:
    dt = config.neuron.dt
    yield "neuron.dt", dt, SHORTEST_STEP, LONGEST_STEP, True
    if SHORTEST_STEP <= dt <= LONGEST_STEP:
        for name in ("tau_mem", "tau_syn"):
            yield f"neuron.{name}", getattr(config.neuron, name), 0, dt * MAX_STEPS_OF_TAU, False
        yield "neuron.tau_vr", config.neuron.tau_vr, dt / MAX_STEPS_OF_TAU, dt * MAX_STEPS_OF_TAU, True
    yield "neuron.threshold", config.neuron.threshold, 0, math.inf, False
    yield "neuron.surrogate_slope", config.neuron.surrogate_slope, 0, MAX_FACTOR, True


def _wrong_decays(config: Config) -> Problems:
    neuron = config.neuron
    known = neuron.decay in DECAY_RULES
    yield from unless(known, "neuron.decay", neuron.decay, f"allowed are {', '.join(DECAY_RULES)}")
    for tau, override in (("tau_mem", "membrane_decay"), ("tau_syn", "synapse_decay"), ("tau_vr", "van_rossum_decay")):
        factor = getattr(neuron, override)
        if factor is not None:
            allowed = "a decay per step lies in [0, 1), at most at 1 - 2^-20; null follows the rule"
            yield from unless(0 <= factor <= 1 - 1 / MAX_STEPS_OF_TAU, f"neuron.{override}", factor, allowed)
        elif known:
            yield from _wrong_time_constant(neuron, tau)


def _wrong_time_constant(neuron: CubaLIFConfig, tau: str) -> Problems:
    try:
        decay_factor(getattr(neuron, tau), neuron.dt, neuron.decay)
    except ValueError as error:
        yield f"neuron.{tau}: {error}; use a longer neuron.{tau} or a shorter neuron.dt"


def _spikes_at_most(bits: int, threshold: float) -> bool:
    """Whether a membrane at the largest state of ``bits`` spikes."""
    fmt = symmetric(bits)
    return bool(quantize(torch.tensor(fmt.largest) - threshold, fmt) > 0)


def _unreachable_threshold(config: Config) -> Problems:
    """A membrane that cannot exceed the threshold by half a step of its own grid never spikes."""
    bits, threshold = config.quantization.membrane_bits, config.neuron.threshold
    if bits is None or _spikes_at_most(bits, threshold):
        return
    enough = next((more for more in range(bits + 1, MAX_BITS + 1) if _spikes_at_most(more, threshold)), None)
    advice = f"use at least {enough} bits (quantization.state_bits={enough}), or" if enough else "use"
    yield (
        f"quantization.membrane_bits={bits} cannot reach neuron.threshold={threshold:g}: the largest state of {bits} bits "
        f"is {symmetric(bits).largest:g}, so no neuron would ever spike; {advice} a lower neuron.threshold"
    )
