"""From a checked config to a run that is ready to train."""

from pathlib import Path

from qsnn.config.common_builders import to_config
from qsnn.config.local_builders import build_local_run
from qsnn.config.pattern_builders import build_pattern_run
from qsnn.config.schema import Config
from qsnn.config.schema_local import LocalTrainerConfig
from qsnn.training.local_run import LocalRun
from qsnn.training.pattern_run import PatternRun

__all__ = ["build_local_run", "build_pattern_run", "build_run", "to_config"]


def build_run(config: Config, folder: Path) -> PatternRun | LocalRun:
    """The run in ``folder``, in the state before its start. Raises ConfigError and DataError."""
    if isinstance(config.trainer, LocalTrainerConfig):
        return build_local_run(config, folder)
    return build_pattern_run(config, folder)
