"""What `qsnn.train` does: the words of the command line to Hydra, and Hydra's config to a run, or to each of a sweep."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from qsnn.command import EXIT_FAILED_RUNS, fail
from qsnn.config.command_line import read_command_line, set_up
from qsnn.config.composition import without_hydra
from qsnn.config.paths import AUTO, config_folder, quoted
from qsnn.config.sharing.words import read_shared
from qsnn.config.sweep_jobs import Sweep
from qsnn.config.sweeps.job import NOT_RUN, run_job, start_or_record, task_words
from qsnn.config.sweeps.launchers import register_launchers
from qsnn.errors import QsnnError, naming
from qsnn.processes import Place, is_torchruns, place
from qsnn.training.folders.lock import locked
from qsnn.training.folders.state import told_as_running
from qsnn.training.interrupt import end_with_parent

if TYPE_CHECKING:
    from qsnn.training.runs import Job


def train(arguments: list[str]) -> None:
    """One run or a sweep. Raises QsnnError and OSError before anything has been written; else exits."""
    set_up()
    register_launchers()
    here = place()
    if here.shares and is_torchruns():
        end_with_parent()  # a launcher that is killed tells its processes nothing
    words, cfg, sweep = read_shared(arguments, here.size) if here.shares else read_command_line(arguments)
    if sweep is not None:
        _run_sweep(words, sweep)
    elif cfg is not None:
        _run(words, cfg) if not here.shares else _share(words, cfg, here)
    elif not here.follows:
        _hand_to_hydra(words)


def _share(words: list[str], cfg: DictConfig, here: Place) -> None:
    """A single run that several processes share; the first has the folder."""
    from qsnn.config.building.run import to_config  # take torch with them
    from qsnn.config.sharing.checks import check_shareable
    from qsnn.config.sharing.follower import follow
    from qsnn.config.sharing.group import joined_workers

    config = to_config(without_hydra(cfg))
    check_shareable(config, here.size)
    workers = joined_workers()
    if here.follows:
        follow(config, Path(cfg.hydra.run.dir), workers)
    else:
        _run(words, cfg)


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
    finished, refused, begun = False, list["Job"](), True
    try:
        if sweep.jobs is None:
            _hand_to_hydra(words)
        else:
            from qsnn.config.sweeps.launching import launch  # takes torch with it

            refused = launch(sweep.jobs, sweep.folder, sweep.hydra)
    except QsnnError:
        begun = False
        raise
    finally:
        finished = begun and _tell_sweep(sweep, refused)
    if not finished and sweep.jobs is not None:
        sys.exit(EXIT_FAILED_RUNS)


def _tell_sweep(sweep: Sweep, refused: list["Job"]) -> bool:
    """Print what became of each job; whether all are finished. Of those that were ``refused`` the folder tells nothing."""
    from qsnn.training.runs import find_jobs, left_out, sweep_table

    jobs = find_jobs(sweep.folder, refused)
    if not jobs:  # nothing was planned: what keeps it from that is told
        return False
    sys.stdout.write(f"\n{sweep_table(sweep.folder, jobs)}\n\n")
    sys.stdout.flush()
    errors = left_out(jobs, again=all(f"resume={AUTO}" in job for job in sweep.jobs or [[]]))
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
    """One run, or one of those that another sweeper than Hydra's own asks for. torch is imported here, so that --help is
    quick."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        return run_job(cfg)
    folder, overrides = Path(hydra_config.runtime.output_dir), task_words(hydra_config)
    try:
        with told_as_running(folder, overrides):  # it is locked already
            start_or_record(cfg, folder, overrides)
    except (QsnnError, OSError) as error:
        fail(error)
    return NOT_RUN
