"""Whether what was typed makes a run, or the jobs of a sweep: composed and checked before anything is written."""

from collections.abc import Iterable
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qsnn.config.checking.explaining import lines_of
from qsnn.config.composition import compose_config, compose_like, without_hydra
from qsnn.config.paths import AUTO, wrong_name
from qsnn.config.sweep_jobs import (
    Sweep,
    all_jobs,
    check_launcher,
    check_sweep_folder,
    jobs_to_try,
    own_sweeper,
    sweep_folder,
    sweep_name,
)  # fmt: skip
from qsnn.errors import ConfigError

Groups = dict[str, list[str]]


def try_run(overrides: list[Override]) -> DictConfig:
    """The config of a single run, with Hydra's own part. Raises ConfigError."""
    swept = [o for o in overrides if o.is_sweep_override() and not o.key_or_group.startswith("hydra")]
    if swept:
        raise ConfigError(f"{swept[0].input_line} holds several values: add -m to sweep, or brackets for a list")
    cfg = compose_config([override.input_line or "" for override in overrides], return_hydra_config=True)
    _check_folder_is_named(cfg, "hydra.run.dir")
    name = meant(cfg, "sweep.name")
    if name is not None and cfg.hydra.mode != RunMode.MULTIRUN:
        raise ConfigError(f"sweep.name={name} names a sweep: add -m; the folder of a single run is hydra.run.dir")
    return cfg


def try_sweep(overrides: list[Override], groups: Groups) -> Sweep:
    """A sweep whose jobs all compose, and of which some job at least can run. ``groups``: the options of each. Raises
    ConfigError."""
    check_launcher(overrides)
    tried, hydra = jobs_to_try(overrides, groups), _hydra(overrides)
    first = compose_config([*tried[0], *sweep_name(overrides), *hydra], return_hydra_config=True)
    plain = without_hydra(first)
    names = [meant(first, "name"), *(meant(compose_like(plain, tried[0], job, groups), "name") for job in tried[1:])]
    jobs = None if own_sweeper(overrides) else all_jobs(overrides)
    name = meant(first, "sweep.name")
    problems = [problem for name in dict.fromkeys(names) for problem in wrong_name(name)]
    problems += [] if name is None else wrong_name(name, "sweep.name")
    others = tried if jobs is None else jobs
    problems = problems or common_problems(plain, (compose_like(plain, tried[0], job, groups) for job in others))
    if problems:
        raise ConfigError(*problems)
    _check_folder_is_named(first, "hydra.sweep.dir")
    if jobs and name is not None:
        jobs = [job if f"resume={AUTO}" in job else [*job, f"resume={AUTO}"] for job in jobs]
    folder = sweep_folder(first, names)
    check_sweep_folder(folder, "hydra.sweep.dir" if name is None else "sweep.name")
    return Sweep(folder, jobs, hydra)


def meant(cfg: DictConfig, key: str) -> Any:
    """The value of a key, what is interpolated in it resolved. Raises ConfigError where that leads nowhere."""
    try:
        return OmegaConf.select(cfg, key)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key}: {lines_of(error)[0]}") from error


def common_problems(first: DictConfig, others: Iterable[DictConfig]) -> list[str]:
    """What is wrong with every one of the configs: no job of a sweep could run. What is wrong with some only is told by
    these when it is their turn, and costs the others nothing."""
    problems = refusals(first)
    for cfg in others if problems else ():
        found = refusals(cfg)
        problems = [problem for problem in problems if problem in found]
        if not problems:
            break
    return problems


def refusals(cfg: DictConfig) -> list[str]:
    """Why a run with this config would be refused, whatever lies on the disk."""
    from qsnn.config.building.common import build_device, to_config  # take torch with them

    try:
        build_device(to_config(cfg))
    except ConfigError as error:
        return [str(problem) for problem in error.args]
    return []


def _check_folder_is_named(cfg: DictConfig, key: str) -> None:
    """Raise ConfigError for an empty name, by which a run would lie about in the folder that one is in."""
    if not str(meant(cfg, key)).strip():
        raise ConfigError(f"{key}= names no folder: give one, such as {key}=runs/mine, or leave it out")


def _hydra(overrides: list[Override]) -> list[str]:
    """Those of Hydra's own keys."""
    return [override.input_line or "" for override in overrides if override.key_or_group.startswith("hydra")]
