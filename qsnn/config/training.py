"""What `qsnn.train` does: the words of the command line to Hydra, and Hydra's config to a run, or to each of a sweep."""

import logging
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

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
from qsnn.config.sweep_jobs import BASIC_SWEEPER, Sweep, check_objective, wants_seeds_together
from qsnn.errors import QsnnError, naming
from qsnn.training.interrupt import Stopped, raise_if_stopped

if TYPE_CHECKING:
    from qsnn.training.loop import Outcome  # takes torch with it

log = logging.getLogger(__name__)


def train(arguments: list[str]) -> None:
    """One run or a sweep. Raises QsnnError and OSError before anything has been written; else exits."""
    set_up()
    words, cfg, sweep = read_command_line(arguments)
    if sweep is not None:
        _run_sweep(words, sweep)
    elif cfg is not None:
        _run(words, cfg)
    else:
        _hand_to_hydra(words)


def _run(words: list[str], cfg: DictConfig) -> None:
    """A single run, refused before it has a folder if it can be."""
    from qsnn.config.building.run import check_startable, to_config  # take torch with them
    from qsnn.config.resume import check_folder, goes_on
    from qsnn.config.start_from import load_source

    config, folder = to_config(without_hydra(cfg)), Path(cfg.hydra.run.dir)
    check_startable(config)
    if config.start_from is not None and not goes_on(config, folder):
        load_source(config)
    with naming(folder), locked(folder):
        check_folder(config, folder)  # before Hydra replaces what .hydra/ says of the run that is there
        _hand_to_hydra([*words, f"hydra.run.dir={quoted(folder)}"])


def _run_sweep(words: list[str], sweep: Sweep) -> None:
    """All jobs; then the table, however it ended, and exit status 1 unless all are finished. (How many may fail in a
    search is the affair of its sweeper.)"""
    from qsnn.training.runs import write_plan

    if sweep.jobs is not None:
        write_plan(sweep.folder, sweep.jobs)
    finished = failed = False
    try:
        if sweep.seeds_together:
            failed = _train_seeds_together(sweep)
        else:
            _hand_to_hydra(words)
    finally:
        finished = _tell_sweep(sweep)
    if failed or (not finished and sweep.jobs is not None):
        sys.exit(EXIT_FAILED_RUNS)


def _train_seeds_together(sweep: Sweep) -> bool:
    """All jobs, those as one that differ in nothing but the seed; whether one could not be run."""
    from qsnn.config.together.jobs import compose_jobs, group_by_seed
    from qsnn.config.together.training import train_together  # takes torch with it

    jobs, failed = sweep.jobs or [], False
    for group in group_by_seed(jobs):
        composed = compose_jobs([jobs[number] for number in group], sweep.hydra, sweep.folder, group)
        alone = not wants_seeds_together(composed[0].cfg)
        for part in [[job] for job in composed] if alone else [composed]:
            raise_if_stopped()
            outcomes = train_together(part)
            failed |= any(isinstance(outcome, str) for outcome in outcomes)
            for outcome in outcomes:
                if not isinstance(outcome, str) and outcome.signal_number:
                    sys.exit(128 + outcome.signal_number)  # the user stopped the sweep, not one run of it
    return failed


def _tell_sweep(sweep: Sweep) -> bool:
    """Print what became of each job; whether all are finished."""
    from qsnn.training.runs import find_jobs, left_out, sweep_table

    jobs = find_jobs(sweep.folder)
    sys.stdout.write(f"\n{sweep_table(sweep.folder, jobs)}\n\n")
    sys.stdout.flush()
    errors = left_out(jobs)
    sys.stderr.writelines(f"{line}\n" for line in errors)
    return not errors


def _hand_to_hydra(words: list[str]) -> None:
    # Hydra then raises what it cannot do, for `run_command` to tell in one line; else it prints a traceback.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = words
    try:
        _task()
    except HydraException as error:  # the reason of a sweep's failed run, among others
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_FAILED_RUNS)


@hydra.main(version_base="1.3", config_path=config_folder(), config_name="config")
def _task(cfg: DictConfig) -> float:
    """One run; in a sweep its error, see `qsnn.training.objective`. torch is imported here, so that --help is quick."""
    from qsnn.training.objective import error_to_minimise

    raise_if_stopped()  # while Hydra went from one job of a sweep to the next
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    sweep = hydra_config.mode == RunMode.MULTIRUN
    minimised = sweep and hydra_config.sweeper["_target_"] != BASIC_SWEEPER
    if sweep and wants_seeds_together(cfg):
        log.warning("trainer.vectorize=seed: this sweeper or launcher starts every job by itself, so each trains alone")
    try:
        with locked(folder) if sweep else nullcontext():  # that of a single run is locked already
            outcome = _start(cfg, folder, list(hydra_config.overrides.task), minimised)
    except (QsnnError, OSError) as error:
        if not sweep:
            fail(error)
        return _failed_job(folder, describe(error), minimised)
    if sweep and outcome.signal_number:
        sys.exit(128 + outcome.signal_number)  # the user stopped the sweep, not one run of it
    return error_to_minimise(outcome)


def _start(cfg: DictConfig, folder: Path, overrides: list[str], minimised: bool) -> "Outcome":
    """The run, in a folder that this process holds; if it fails, the folder tells why."""
    from qsnn.config.run import record_refusal, start

    try:
        if minimised:
            check_objective(cfg)
        return start(cfg, folder, overrides)
    except (QsnnError, OSError) as error:
        record_refusal(folder, cfg, overrides, describe(error))
        raise
    except Stopped as stop:
        reason = f"stopped by {signal.Signals(stop.args[0]).name} before it trained"
        record_refusal(folder, cfg, overrides, reason, status="stopped")
        raise


def _failed_job(folder: Path, reason: str, minimised: bool) -> float:
    """The end of a sweep's job that failed. If its folder tells why, `_tell_sweep` will, for every job: an exception would
    make Hydra leave out later batches and name one job only. Else, and for a sweeper that minimises, an exception."""
    from qsnn.training.runs import read_job

    log.error("error: %s", reason)
    if minimised or read_job(folder).reason() != reason:
        raise CompactHydraException(f"error: {reason}")
    return float("nan")
