"""What `qsnn.train` does: the words of the command line to Hydra, and Hydra's config to a run, or to each of a sweep."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from qsnn.command import describe, fail
from qsnn.config.command_line import prepare_arguments, set_up
from qsnn.config.paths import config_folder
from qsnn.errors import QsnnError


def train(arguments: list[str]) -> None:
    """One run or a sweep. Raises QsnnError and OSError before anything has been written; else exits."""
    set_up()
    sys.argv[1:] = prepare_arguments(arguments)
    _task()


@hydra.main(version_base="1.3", config_path=config_folder(), config_name="config")
def _task(cfg: DictConfig) -> float:
    """One run. torch is imported here, so that --help and shell completion are quick."""
    from qsnn.config.run import start

    hydra_config = HydraConfig.get()
    sweep = hydra_config.mode == RunMode.MULTIRUN
    try:
        outcome = start(cfg, Path(hydra_config.runtime.output_dir), list(hydra_config.overrides.task))
    except (QsnnError, OSError) as error:
        if sweep:  # Hydra finishes the other runs of the sweep, then prints this line and exits with 1
            raise CompactHydraException(f"error: {describe(error)}") from error
        fail(error)
    if sweep and outcome.signal_number:
        sys.exit(128 + outcome.signal_number)  # the user stopped the sweep, not one run of it
    return outcome.final.get("distance", outcome.final.get("test_accuracy", float("nan")))
