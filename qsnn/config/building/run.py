"""From a checked config to a run that is ready to train."""

from pathlib import Path

import torch

from qsnn.config.building.common import build_device, plain_config, to_config
from qsnn.config.schema import Config
from qsnn.kernels.dispatch import select_backend
from qsnn.kernels.shared import over_parts
from qsnn.kernels.workers import ONE, Workers
from qsnn.training.run import Run
from qsnn.training.settings import Machine

__all__ = ["build_machine", "build_run", "check_startable", "to_config"]


def build_machine(config: Config, workers: Workers = ONE) -> Machine:
    """Device, threads and kernels, those of a process that may share the run. Raises ConfigError."""
    torch.set_num_threads(config.threads)
    device = build_device(config)
    return Machine(device, over_parts(select_backend(config.kernels, device.type), workers.over), workers)


def build_run(config: Config, folder: Path, workers: Workers = ONE) -> Run:
    """The run in ``folder``, in the state before its start. Raises ConfigError and DataError."""
    machine = build_machine(config, workers)
    return config.trainer.build_run(config, machine, folder, {"config": plain_config(config)})


def check_startable(config: Config) -> None:
    """Refuse what can be refused before a run has a folder: device, kernels, missing data, a net that the data do not fit.

    Raises ConfigError and DataError.
    """
    device = build_device(config)
    if config.kernels != "auto":  # which always finds one
        select_backend(config.kernels, device.type)
    config.trainer.check_data(config)
