"""From a checked config to the parts of a pattern run. Every leaf of its config reaches a constructor here."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from qsnn.config.building.common import build_device, build_update_rule, plain_config
from qsnn.config.schema import Config, CubaLIFConfig
from qsnn.data.sources.pattern import Pattern, load_pattern
from qsnn.dynamics import LIFParameters, decay_factor
from qsnn.kernels.backend import Backend, GradientRounding
from qsnn.kernels.dispatch import select_backend
from qsnn.losses import VanRossumDistance
from qsnn.models import FeedforwardNet, build_feedforward
from qsnn.training.pattern_run import PatternRun, TrainerSettings
from qsnn.training.state import new_training_state


def _decay(neuron: CubaLIFConfig, tau: float, override: float | None) -> float:
    return decay_factor(tau, neuron.dt, neuron.decay) if override is None else override


def build_lif(config: Config) -> LIFParameters:
    """Parameters of the neurons of all layers."""
    neuron, bits = config.neuron, config.quantization
    return LIFParameters(
        synapse_decay=_decay(neuron, neuron.tau_syn, neuron.synapse_decay),
        membrane_decay=_decay(neuron, neuron.tau_mem, neuron.membrane_decay),
        threshold=neuron.threshold,
        surrogate_slope=neuron.surrogate_slope,
        synapse_bits=bits.synapse_bits,
        membrane_bits=bits.membrane_bits,
        error_bits=bits.error_bits,
        threshold_mask=neuron.threshold_mask,
    )


def build_model(config: Config, backend: Backend) -> FeedforwardNet:
    """The net with fresh weights."""
    model, bits = config.model, config.quantization
    return build_feedforward(
        num_inputs=model.num_inputs,
        hidden=[model.num_hidden],
        num_outputs=model.num_outputs,
        fan_in=model.fan_in,
        init_beta=model.init_beta,
        weight_bits=bits.weight_bits,
        quantized_gradients=bits.gradient_bits is not None,
        state_bits=bits.state_bits,
        lif=build_lif(config),
        seed=config.seed,
        backend=backend,
    )


def build_pattern(config: Config, device: torch.device) -> Pattern:
    """Input and target rasters of the net's size. Raises DataError."""
    sizes = {"num_inputs": config.model.num_inputs, "num_outputs": config.model.num_outputs}
    pattern = load_pattern(**vars(config.dataset), **sizes)
    return Pattern(*(raster.to(device) for raster in pattern))


def build_loss(config: Config, backend: Backend) -> VanRossumDistance:
    """The van Rossum distance."""
    neuron = config.neuron
    return VanRossumDistance(_decay(neuron, neuron.tau_vr, neuron.van_rossum_decay), neuron.tau_vr, backend)


def fingerprint(pattern: Pattern) -> str:
    """A hash of input and target, so that a run is never resumed on other data."""
    digest = hashlib.blake2b(digest_size=16)
    for raster in pattern:
        digest.update(str(tuple(raster.shape)).encode())
        digest.update(raster.to(torch.uint8).cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build_trainer(config: Config) -> TrainerSettings:
    """Epochs, checkpoints, gradient rounding and schedules."""
    trainer, optimizer, bits = config.trainer, config.optimizer, config.quantization
    return TrainerSettings(
        epochs=trainer.epochs,
        checkpoint_every=trainer.checkpoint_every,
        rounding=GradientRounding(optimizer.eta, bits.gradient_bits, bits.rng_bits, bits.rng_rule),
        lr_schedule=optimizer.lr_schedule,
        eta_schedule=optimizer.eta_schedule,
        num_halvings=optimizer.num_halvings,
    )


def build_pattern_run(config: Config, folder: Path) -> PatternRun:
    """All parts of a run in ``folder``, in the state before its first epoch. Raises ConfigError and DataError."""
    torch.set_num_threads(config.threads)
    device = build_device(config)
    backend = select_backend(config.kernels, device.type)
    pattern = build_pattern(config, device)
    model = build_model(config, backend).to(device)
    state = new_training_state(model, build_update_rule(config), config.seed)
    settings = build_trainer(config)
    facts: dict[str, Any] = {"config": plain_config(config), "data": fingerprint(pattern)}
    return PatternRun(state, pattern, build_loss(config, backend), settings, folder, facts)
