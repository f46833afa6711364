"""The jobs of a sweep that are still to do: each with its folder, which says that it is queued; and those that cannot be."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict

from qsnn.config.composition import compose_config, without_hydra
from qsnn.config.paths import AUTO, quoted
from qsnn.config.sweeps.composing import override_dirname
from qsnn.errors import QsnnError, RunFolderError
from qsnn.training.folders.lock import InUseError, locked
from qsnn.training.folders.state import FINISHED, write_queued
from qsnn.training.runs import Job, read_job, task_overrides, write_plan

OWN_TO_A_JOB = ("hydra.job.override_dirname", "hydra.job.num", "hydra.job.id", "qsnn.folder_name")
"""What a folder's name may be made of so that no job need be composed to know it."""


class Planned(NamedTuple):
    """A job that is to be run: what Hydra composes, and its folder, which is one of the overrides."""

    overrides: list[str]
    folder: Path


class Plan(NamedTuple):
    """Jobs to run, and those that are refused: their folder holds something else."""

    to_do: list[Planned]
    refused: list[Job]


def plan(jobs: Sequence[Sequence[str]], folder: Path, names: Iterable[str]) -> Plan:
    """Note the ``jobs`` of a sweep, each in ``folder`` / its name, and find those that are still to do. Raises OSError.

    With ``resume=auto`` among its overrides a job that is finished is not to be done again, and one that was interrupted
    goes on. What an earlier sweep into the same ``folder`` planned stays planned.
    """
    write_plan(folder, [list(job) for job in jobs])
    to_do: list[Planned] = []
    refused: list[Job] = []
    for job, name in zip(jobs, names, strict=True):
        planned = Planned([*job, f"hydra.sweep.subdir={quoted(Path(name))}"], folder / name)
        try:
            if planned not in to_do and _queue(list(job), planned.folder):
                to_do.append(planned)
        except QsnnError as error:
            refused.append(Job(task_overrides(job), planned.folder, "failed", {"error": str(error)}))
    return Plan(to_do, refused)


def _queue(job: list[str], folder: Path) -> bool:
    """Whether ``job`` is to be run in ``folder``, which then says so. Raises RunFolderError if something else is there."""
    goes_on = f"resume={AUTO}" in job
    there = read_job(folder)
    if there.overrides and there.overrides != task_overrides(job):
        raise RunFolderError(
            f"{folder} holds another job ({' '.join(there.overrides)}): choose another hydra.sweep.subdir"
        )
    if (folder / "checkpoints" / "last.pt").exists():
        if not goes_on:
            raise RunFolderError(f"{folder} already holds a run: add resume={AUTO} to go on, or give a sweep.name")
        if there.status == FINISHED and _is_that_run(job, folder, there):
            return False
    elif there.status == FINISHED and goes_on:  # its checkpoints were deleted
        return False
    try:
        with locked(folder):
            if read_job(folder).status == there.status:  # else another sweep has come first
                write_queued(folder, list(task_overrides(job)))
    except InUseError:
        pass  # by the time it is this job's turn that may be over
    return True


def _is_that_run(job: list[str], folder: Path, there: Job) -> bool:
    """Whether a finished run is all that ``job`` asks for; not if it shall go further. Raises RunFolderError for a run with
    another config: the same overrides may mean something else today, and ConfigError."""
    from qsnn.config.building.common import to_config  # take torch with them
    from qsnn.config.resume import check_resumable

    config = to_config(without_hydra(compose_config(job)))
    check_resumable(folder, config)
    return bool(there.summary.get("epochs", 0) >= config.trainer.epochs)


def folder_names(jobs: Sequence[Sequence[str]], cfg: DictConfig, first: int = 0) -> list[str]:
    """The name of each job's folder below the sweep's, as Hydra would make it: its ``hydra.sweep.subdir``.

    ``cfg``: config of one of them, with Hydra's part; ``first``: number of the first job.
    """
    text = str(OmegaConf.to_container(cfg.hydra.sweep, resolve=False)["subdir"])  # type: ignore[index, call-overload]
    foreign = set(re.findall(r"\$\{([\w.]+)", text)) - set(OWN_TO_A_JOB)
    return [_name(cfg if not foreign else _composed(job, text), job, number) for number, job in enumerate(jobs, first)]


def _composed(job: Sequence[str], subdir: str) -> DictConfig:
    cfg = compose_config(list(job), return_hydra_config=True)
    with open_dict(cfg):
        cfg.hydra.sweep.subdir = subdir  # that of the sweep, which is none of the job's own words
    return cfg


def _name(cfg: DictConfig, job: Sequence[str], number: int) -> str:
    with open_dict(cfg):
        cfg.hydra.job.override_dirname = override_dirname(job, cfg).replace(
            "${", r"\${"
        )  # as typed: its meaning may change
        cfg.hydra.job.num, cfg.hydra.job.id = number, str(number)
    return str(cfg.hydra.sweep.subdir)
