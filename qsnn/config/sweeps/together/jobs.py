"""Which jobs of a sweep are trained as one."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig, open_dict, read_write

from qsnn.config.sweep_jobs import wants_seeds_together
from qsnn.config.sweeps.composing import key_of
from qsnn.config.sweeps.job import task_words
from qsnn.config.sweeps.planning import Planned

SEED = "seed"
OWN_FOLDER = "hydra.sweep.subdir="


class SweepJob(NamedTuple):
    """A job as Hydra would start it: its config with Hydra's own part, its folder and its overrides."""

    cfg: DictConfig
    folder: Path
    overrides: list[str]


def sweep_job(cfg: DictConfig) -> SweepJob:
    """The job that has been composed as ``cfg``, which is told its folder, as Hydra tells it."""
    folder = os.path.abspath(os.path.join(str(cfg.hydra.sweep.dir), str(cfg.hydra.sweep.subdir)))
    with read_write(cfg.hydra.runtime), open_dict(cfg.hydra.runtime):
        cfg.hydra.runtime.output_dir = folder
    return SweepJob(cfg, Path(folder), task_words(cfg.hydra))


def group_by_seed(jobs: Sequence[Sequence[str]]) -> list[list[int]]:
    """The numbers of jobs whose overrides differ in nothing but ``seed=``, which each has once; every other by itself. In the
    order of each group's first job."""
    groups: dict[object, list[int]] = {}
    for number, job in enumerate(jobs):
        rest = tuple(sorted(text for text in job if not text.startswith(f"{SEED}=")))
        seeds = len(job) - len(rest)
        groups.setdefault(rest if seeds == 1 else number, []).append(number)
    return list(groups.values())


def units_of(
    jobs: Sequence[Planned], compose: Callable[[list[str]], DictConfig], choices: Sequence[str]
) -> list[list[int]]:
    """The numbers of the jobs that one process does at a time: those as one that differ in the seed alone and ask for it by
    ``trainer.vectorize=seed``. ``choices``: names of Hydra's groups, upon which, beside that key, it depends."""
    asked: dict[tuple[str, ...], bool] = {}

    def as_one(overrides: list[str]) -> bool:
        deciding = tuple(text for text in overrides if key_of(text) in choices or key_of(text).startswith("trainer"))
        if deciding not in asked:
            asked[deciding] = wants_seeds_together(compose(overrides))
        return asked[deciding]

    units: list[list[int]] = []
    for group in group_by_seed([[text for text in job.overrides if not text.startswith(OWN_FOLDER)] for job in jobs]):
        units += [group] if len(group) > 1 and as_one(jobs[group[0]].overrides) else [[number] for number in group]
    return sorted(units)
