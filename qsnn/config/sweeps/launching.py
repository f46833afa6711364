"""Running a list of jobs by the chosen launcher, whatever becomes of each: what a sweep and a search have in common."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import configure_log
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from qsnn.config.checking.explaining import explain
from qsnn.config.composition import without_running_hydra
from qsnn.config.paths import AUTO, config_folder, quoted
from qsnn.config.search_path import search_path_override
from qsnn.config.sweeps.clusters import run_by_plugin
from qsnn.config.sweeps.composing import Composer
from qsnn.config.sweeps.job import SEEDS_ALONE, run_job
from qsnn.config.sweeps.launchers import cpu_count, register_launchers, workers_of
from qsnn.config.sweeps.planning import Planned, folder_names, plan
from qsnn.config.sweeps.processes import run_in_processes
from qsnn.config.sweeps.together.jobs import units_of
from qsnn.errors import ConfigError
from qsnn.training.runs import Job, check_plan

GOES_ON = f"resume={AUTO}"
log = logging.getLogger(__name__)


class Launch(NamedTuple):
    """What Hydra needs to run a job: the sweep's own config, and how to compose those of its jobs. ``workers``: of ours, see
    `workers_of`."""

    cfg: DictConfig
    context: HydraContext
    workers: int


def launch(
    jobs: Sequence[Sequence[str]], folder: Path, words: Sequence[str] = (), names: Sequence[str] | None = None
) -> list[Job]:
    """Run each of the ``jobs`` to its end, whatever that is, by the launcher that was chosen.

    What became of them is read from their folders (`qsnn.training.runs.read_job`); only those that were refused because their
    folder holds something else are returned.

    Args:
        jobs: the overrides of each, single values only. One with ``resume=auto`` among them is left out if it is finished, and
            goes on if it was interrupted.
        folder: of them all; sweep.json there notes what is planned.
        words: Hydra's own overrides, such as ``hydra/launcher=processes`` and ``hydra.launcher.n_jobs=4``.
        names: of each job's folder below; None: after its overrides, ``hydra.sweep.subdir``.

    Raises:
        ConfigError: the launcher is not there, or is not as it can be.
        RunFolderError: sweep.json is damaged.
        OSError: a folder cannot be written.
        Stopped: a signal; every job that ran has stopped and is saved, unless a cluster runs it.
    """
    if not jobs:
        return []
    register_launchers()
    with _hydra(jobs, folder, words) as started:
        planned = plan(jobs, folder, names or folder_names(jobs, started.cfg))
        if planned.to_do:
            _run(started, planned.to_do)
    return planned.refused


def _run(started: Launch, to_do: list[Planned]) -> None:
    workers = started.workers
    compose = Composer(started.context.config_loader, started.cfg).compose
    units = units_of(to_do, compose, list(started.cfg.hydra.runtime.choices))
    if workers:
        _tell_threads(started.cfg, workers)
        run_in_processes(to_do, workers, started.cfg, started.context, units=units)
        return
    if len(units) < len(to_do):
        log.warning(SEEDS_ALONE)
    # A cluster may end a job and start it again by itself.
    going_on = [job if GOES_ON in job.overrides else Planned([*job.overrides, GOES_ON], job.folder) for job in to_do]
    launcher = Plugins.instance().instantiate_launcher(started.context, run_job, started.cfg)
    run_by_plugin(launcher, going_on)


def _tell_threads(cfg: DictConfig, workers: int) -> None:
    if workers > 1 and workers * cfg.threads > cpu_count():
        asked = f"{workers} jobs at once with threads={cfg.threads}"
        log.warning(
            "%s each are more than the %d cores that there are: jobs will wait for one another", asked, cpu_count()
        )


@contextmanager
def _hydra(jobs: Sequence[Sequence[str]], folder: Path, words: Sequence[str]) -> Iterator[Launch]:
    """Hydra as its own command line would start it for a sweep into ``folder``."""
    shared = [text for text in jobs[0] if all(text in job for job in jobs) and text != GOES_ON]
    overrides = [*words, *shared, f"hydra.sweep.dir={quoted(folder)}", *search_path_override()]
    with without_running_hydra(), initialize_config_dir(config_folder(), version_base="1.3", job_name="train"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            cfg = hydra.compose_config("config", overrides, RunMode.MULTIRUN)
        except HydraException as error:
            raise ConfigError(explain(error, overrides)) from error
        workers = workers_of(cfg)
        check_plan(folder)
        configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(cfg))
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(cfg, folder / "multirun.yaml")
        context.callbacks.on_multirun_start(config=cfg, config_name="config")
        yield Launch(cfg, context, workers)
        context.callbacks.on_multirun_end(config=cfg, config_name="config")
