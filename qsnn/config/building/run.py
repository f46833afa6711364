"""From a checked config to a run that is ready to train."""

from pathlib import Path

from qsnn.config.building.common import build_device, to_config
from qsnn.config.building.local import build_local_run, check_maps
from qsnn.config.building.pattern import build_pattern, build_pattern_run
from qsnn.config.event_data import build_source
from qsnn.config.schema import Config
from qsnn.config.schema_local import LocalTrainerConfig
from qsnn.kernels.dispatch import select_backend
from qsnn.training.local_run import LocalRun
from qsnn.training.pattern_run import PatternRun

__all__ = ["build_local_run", "build_pattern_run", "build_run", "check_startable", "to_config"]


def build_run(config: Config, folder: Path) -> PatternRun | LocalRun:
    """The run in ``folder``, in the state before its start. Raises ConfigError and DataError."""
    if isinstance(config.trainer, LocalTrainerConfig):
        return build_local_run(config, folder)
    return build_pattern_run(config, folder)


def check_startable(config: Config) -> None:
    """Refuse what can be refused before a run has a folder: device, kernels, missing data, a net that the data do not fit.

    Raises ConfigError and DataError.
    """
    device = build_device(config)
    if config.kernels != "auto":  # which always finds one
        select_backend(config.kernels, device.type)
    if isinstance(config.trainer, LocalTrainerConfig):
        check_maps(config, build_source(config.dataset).sensor)
    else:
        build_pattern(config, device)
