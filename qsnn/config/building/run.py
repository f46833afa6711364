"""From a checked config to a run that is ready to train."""

from pathlib import Path

import torch

from qsnn.config.building.common import build_device, plain_config, to_config
from qsnn.config.schema import Config
from qsnn.kernels.dispatch import select_backend
from qsnn.training.run import Run
from qsnn.training.settings import Machine

__all__ = ["build_machine", "build_run", "check_startable", "to_config"]


def build_machine(config: Config) -> Machine:
    """Device, threads and kernels. Raises ConfigError."""
    torch.set_num_threads(config.threads)
    device = build_device(config)
    return Machine(device, select_backend(config.kernels, device.type))


def build_run(config: Config, folder: Path) -> Run:
    """The run in ``folder``, in the state before its start. Raises ConfigError and DataError."""
    return config.trainer.build_run(config, build_machine(config), folder, {"config": plain_config(config)})


def check_startable(config: Config) -> None:
    """Refuse what can be refused before a run has a folder: device, kernels, missing data, a net that the data do not fit.

    Raises ConfigError and DataError.
    """
    device = build_device(config)
    if config.kernels != "auto":  # which always finds one
        select_backend(config.kernels, device.type)
    config.trainer.check_data(config)
