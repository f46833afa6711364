"""What `qsnn.train` does: the words of the command line to Hydra, and Hydra's config to a run, or to each of a sweep."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from qsnn.command import EXIT_FAILED_RUNS, describe, fail
from qsnn.config.command_line import quoted, read_command_line, set_up
from qsnn.config.composition import without_hydra
from qsnn.config.paths import config_folder
from qsnn.config.run_lock import locked
from qsnn.errors import QsnnError, naming


def train(arguments: list[str]) -> None:
    """One run or a sweep. Raises QsnnError and OSError before anything has been written; else exits."""
    set_up()
    words, cfg = read_command_line(arguments)
    if cfg is None:
        _hand_to_hydra(words)
        return
    from qsnn.config.builders import to_config  # takes torch with it
    from qsnn.config.resume import check_folder

    config, folder = to_config(without_hydra(cfg)), Path(cfg.hydra.run.dir)
    with naming(folder), locked(folder):
        check_folder(config, folder)  # before Hydra replaces what .hydra/ says of the run that is there
        _hand_to_hydra([*words, f"hydra.run.dir={quoted(folder)}"])


def _hand_to_hydra(words: list[str]) -> None:
    os.environ["HYDRA_FULL_ERROR"] = (
        "1"  # it raises what it cannot do, for `run_command` to tell, and prints no traceback
    )
    sys.argv[1:] = words
    try:
        _task()
    except HydraException as error:  # the reason of a sweep's failed run, among others
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_FAILED_RUNS)


@hydra.main(version_base="1.3", config_path=config_folder(), config_name="config")
def _task(cfg: DictConfig) -> float:
    """One run. torch is imported here, so that --help and shell completion are quick."""
    from qsnn.config.run import start

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    sweep = hydra_config.mode == RunMode.MULTIRUN
    try:
        with locked(folder) if sweep else nullcontext():  # that of a single run is locked already
            outcome = start(cfg, folder, list(hydra_config.overrides.task))
    except (QsnnError, OSError) as error:
        if sweep:  # Hydra finishes the other runs of the sweep, then prints this line and exits with 1
            raise CompactHydraException(f"error: {describe(error)}") from error
        fail(error)
    if sweep and outcome.signal_number:
        sys.exit(128 + outcome.signal_number)  # the user stopped the sweep, not one run of it
    return outcome.final.get("distance", outcome.final.get("test_accuracy", float("nan")))
