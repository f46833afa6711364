"""Which jobs of a sweep are trained as one, and each one's config and folder, composed once for all of them."""

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict, read_write

from qsnn.config.composition import compose_config

SEED = "seed"


class SweepJob(NamedTuple):
    """A job as Hydra would start it: its config with Hydra's own part, its folder and its overrides."""

    cfg: DictConfig
    folder: Path
    overrides: list[str]


def group_by_seed(jobs: Sequence[Sequence[str]]) -> list[list[int]]:
    """The numbers of jobs whose overrides differ in nothing but ``seed=``, which each has once; every other by itself. In the
    order of each group's first job."""
    groups: dict[object, list[int]] = {}
    for number, job in enumerate(jobs):
        rest = tuple(sorted(text for text in job if not text.startswith(f"{SEED}=")))
        seeds = len(job) - len(rest)
        groups.setdefault(rest if seeds == 1 else number, []).append(number)
    return list(groups.values())


def compose_jobs(jobs: Sequence[list[str]], hydra: list[str], sweep: Path, numbers: Sequence[int]) -> list[SweepJob]:
    """The jobs of a group, or one. ``hydra``: overrides of its own keys; ``sweep``: the sweep's folder; ``numbers``: of the
    jobs in it. Raises ConfigError."""
    first = compose_config([*jobs[0], *hydra], return_hydra_config=True)
    return list(_configs(first, jobs, sweep, numbers))


def _configs(first: DictConfig, jobs: Sequence[list[str]], sweep: Path, numbers: Sequence[int]) -> Iterator[SweepJob]:
    """A config composed with another seed is the same config with another seed: what follows from it is interpolated."""
    for overrides, number in zip(jobs, numbers, strict=True):
        cfg = copy.deepcopy(first)
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            if override.key_or_group == SEED:
                cfg.seed = override.value()
        with read_write(cfg.hydra), open_dict(cfg.hydra):
            cfg.hydra.mode, cfg.hydra.job.num, cfg.hydra.job.id = RunMode.MULTIRUN, number, str(number)
            cfg.hydra.overrides.task = list(overrides)
            cfg.hydra.sweep.dir = str(sweep)
            cfg.hydra.job.override_dirname = _dirname(overrides, cfg)
            folder = sweep / str(cfg.hydra.sweep.subdir)
            cfg.hydra.runtime.output_dir = str(folder.absolute())
        yield SweepJob(cfg, folder, list(overrides))


def _dirname(overrides: Sequence[str], cfg: DictConfig) -> str:
    """``hydra.job.override_dirname``, as Hydra makes it of a job's overrides."""
    how = cfg.hydra.job.config.override_dirname
    kept = [text for text in overrides if text.split("=")[0] not in how.exclude_keys]
    return str(how.item_sep).join(sorted(kept)).replace("=", how.kv_sep)
