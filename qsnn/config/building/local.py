"""From a checked config to the parts of a run of local learning. Every leaf of its config reaches a constructor here."""

from pathlib import Path
from typing import Any

import torch

from qsnn.config.building.common import build_device, build_update_rule, plain_config
from qsnn.config.event_data import build_dataset, build_split, build_windows
from qsnn.config.schema import Config
from qsnn.config.schema_local import LocalConvConfig, LocalMLPConfig
from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.windows import input_shape
from qsnn.kernels.backend import Backend, GradientRounding
from qsnn.kernels.dispatch import select_backend, select_local_backend
from qsnn.models.local_net import (
    Geometry,
    LocalBits,
    LocalInit,
    LocalNet,
    Shape,
    TraceNeuron,
    build_local_net,
    output_shapes,
)
from qsnn.training.local_run import LocalRun, LocalSettings
from qsnn.training.local_state import new_local_state


def build_geometries(model: LocalConvConfig | LocalMLPConfig) -> list[Geometry]:
    """The layers. Fully connected ones are convolutions of one pixel over maps of one pixel."""
    if isinstance(model, LocalMLPConfig):
        return [Geometry(neurons, 1, 0, 1) for neurons in model.hidden]
    lists = (model.channels, model.kernel_size, model.padding, model.pooling)
    return [Geometry(*layer) for layer in zip(*lists, strict=True)]


def _inputs(config: Config, sensor: tuple[int, int]) -> Shape:
    """Shape of the net's input from a ``sensor`` (height, width)."""
    inputs = input_shape(sensor, build_windows(config.dataset, config.neuron.dt, training=True))
    return (inputs[0] * inputs[1] * inputs[2], 1, 1) if isinstance(config.model, LocalMLPConfig) else inputs


def check_maps(config: Config, sensor: tuple[int, int]) -> None:
    """Raise ConfigError if a layer would make no maps of recordings on ``sensor``; nothing is allocated."""
    output_shapes(_inputs(config, sensor), build_geometries(config.model))


def build_net(config: Config, dataset: EventDataset, backend: Backend) -> LocalNet:
    """The net with fresh weights for a data set. Raises ConfigError if the maps are too small for its kernels."""
    return build_net_for(config, dataset.sensor, len(dataset.classes), backend)


def build_net_for(config: Config, sensor: tuple[int, int], num_classes: int, backend: Backend) -> LocalNet:
    """The same for recordings of ``num_classes`` on a ``sensor`` (height, width)."""
    model, neuron, bits, trainer = config.model, config.neuron, config.quantization, config.trainer
    inputs = _inputs(config, sensor)
    geometries = build_geometries(model)
    mults = model.weight_mult * (len(geometries) if len(model.weight_mult) == 1 else 1)
    init = LocalInit(mults, model.init_beta, model.bias_gain, model.readout_amplitude, trainer.l1, trainer.l2)
    return build_local_net(
        inputs, geometries, num_classes,
        TraceNeuron(**vars(neuron)),
        LocalBits(**{name: getattr(bits, name) for name in LocalBits._fields}),
        init, config.seed, select_local_backend(backend.name),
    )  # fmt: skip


def build_settings(config: Config, backend: Backend) -> LocalSettings:
    """Epochs, batches, learning and its schedules."""
    trainer, optimizer, bits = config.trainer, config.optimizer, config.quantization
    return LocalSettings(
        epochs=trainer.epochs,
        batch_size=trainer.batch_size,
        burn_in=round(trainer.burn_in / config.neuron.dt),
        dropout=trainer.dropout,
        lr_div=trainer.lr_div,
        validate_every=trainer.validate_every,
        train_sample=trainer.train_sample,
        checkpoint_every=trainer.checkpoint_every,
        rounding=GradientRounding(optimizer.eta, bits.gradient_bits, bits.rng_bits, bits.rng_rule),
        backend=backend,
        lr_schedule=optimizer.lr_schedule,
        eta_schedule=optimizer.eta_schedule,
        num_halvings=optimizer.num_halvings,
        seed=config.dataset.seed,
        num_workers=config.dataset.num_workers,
    )


def build_local_run(config: Config, folder: Path) -> LocalRun:
    """All parts of a run in ``folder``, in the state before its first batch. Raises ConfigError and DataError."""
    torch.set_num_threads(config.threads)
    device = build_device(config)
    backend = select_backend(config.kernels, device.type)
    dataset = build_dataset(config.dataset, config.logging.progress)
    split = build_split(config.dataset, dataset)
    model = build_net(config, dataset, backend).to(device)
    state = new_local_state(model, build_update_rule(config), config.seed)
    training, testing = (build_windows(config.dataset, config.neuron.dt, training) for training in (True, False))
    facts: dict[str, Any] = {"config": plain_config(config), "data": dataset.fingerprint}
    return LocalRun(state, dataset, split, training, testing, build_settings(config, backend), folder, facts, {}, {})
