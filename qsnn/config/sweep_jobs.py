"""What the overrides of a sweep mean: the jobs that they make, those to try before the first one runs, and one folder."""

import importlib.util
import itertools
import math
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.types import Glob, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf, open_dict

from qsnn.config.paths import folder_name
from qsnn.errors import ConfigError

MOST_JOBS = 10_000
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


EXTRAS = {
    "submitit_local": ("submitit", "hydra_plugins.hydra_submitit_launcher"),
    "submitit_slurm": ("submitit", "hydra_plugins.hydra_submitit_launcher"),
    "ray": ("ray", "hydra_plugins.hydra_ray_launcher"),
    "ray_aws": ("ray", "hydra_plugins.hydra_ray_launcher"),
}
"""Launchers with the extra that installs each, and the module that it brings."""


class Sweep(NamedTuple):
    """Where a sweep's runs go, the overrides of each of its jobs (None where a sweeper such as optuna draws them), and the
    overrides of Hydra's own keys."""

    folder: Path
    jobs: list[list[str]] | None
    hydra: list[str]


def expand_glob(override: Override, options: dict[str, list[str]]) -> str:
    """``optimizer=glob(ada*)`` as the options that it means: ``optimizer=adam,adamax``. Raises ConfigError."""
    key, text, glob = override.key_or_group, override.input_line, override.value()
    assert isinstance(glob, Glob)
    if key not in options:
        raise ConfigError(
            f"{text} is not possible: glob chooses among the options of a group; list the values of {key}"
        )
    found = glob.filter(options[key])
    if not found:
        raise ConfigError(f"{text} is none of the options of {key}: {', '.join(options[key])}")
    return f"{key}={','.join(found)}"


def own_sweeper(overrides: list[Override]) -> bool:
    """Whether the user chose another sweeper than Hydra's, which tries every combination."""
    return any(override.key_or_group.startswith(("hydra/sweeper", "hydra.sweeper")) for override in overrides)


def job_values(overrides: list[Override]) -> dict[str, list[str]]:
    """The ``key=value`` of each key's values, as Hydra's sweeper writes them. Raises ConfigError for an interval there, and for
    none or too many."""
    values, drawn = {}, own_sweeper(overrides)
    for override in overrides:
        key = override.get_key_element()
        if override.key_or_group.startswith(("hydra", "sweep.")):  # of the sweep, not of a job
            continue
        if override.is_discrete_sweep():
            _check_range(override)
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        elif not override.is_sweep_override():
            values[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif not drawn:
            raise ConfigError(
                f"{override.input_line} is an interval, for a sweeper that draws from it (hydra/sweeper=...); list the "
                f"values instead, such as {key}=1,2 or {key}=range(1,3)"
            )
    number = math.prod(map(len, values.values()))
    if number > MOST_JOBS:
        raise ConfigError(f"{number:,} jobs are more than the {MOST_JOBS:,} that a sweep can have: list fewer values")
    return values


def _check_range(override: Override) -> None:
    """Raise ConfigError for a range that has no values, or more than there can be jobs: they are not listed to be counted."""
    of = override.value()
    if not isinstance(of, RangeSweep):
        return
    number = math.nan if not of.step else ((of.stop or 0) - (of.start or 0)) / of.step
    if not number <= MOST_JOBS:
        raise ConfigError(f"{override.input_line} has more values than the {MOST_JOBS:,} jobs that a sweep can have")
    if number <= 0:
        raise ConfigError(f"{override.input_line} has no values: range(first,end) ends before its end")


def all_jobs(overrides: list[Override]) -> list[list[str]]:
    """Every combination of the values, in Hydra's order."""
    return [list(job) for job in itertools.product(*job_values(overrides).values())]


def jobs_to_try(overrides: list[Override], groups: dict[str, list[str]]) -> list[list[str]]:
    """Jobs of which one does not compose if any of the sweep does not: every combination of group options, which decide
    what keys there are, and every value of every other key, whose type is checked by itself."""
    values = job_values(overrides)
    shown = {key: texts if key in groups else texts[:1] for key, texts in values.items()}
    jobs = [list(job) for job in itertools.product(*shown.values())]
    for key, texts in values.items():
        if key not in groups:
            jobs += [[*(v[0] for k, v in values.items() if k != key), text] for text in texts[1:]]
    return jobs


def check_auto(overrides: list[str], multirun: bool) -> None:
    """Raise ConfigError unless the folder in which ``resume=auto`` looks is the same at every start."""
    keys = ("hydra.sweep.dir", "sweep.name") if multirun else ("hydra.run.dir",)
    if not any(text.startswith(f"{key}=") for text in overrides for key in keys):
        needed = " or ".join(f"{key}=<{'name' if key == 'sweep.name' else 'folder'}>" for key in keys)
        raise ConfigError(f"resume=auto needs {needed}: without it every start has a folder of its own")


def check_launcher(overrides: list[Override]) -> None:
    """Raise ConfigError for a launcher that is known but not installed; one that is not known does not compose."""
    for override in overrides:
        extra, module = EXTRAS.get(str(override.value()), ("", ""))
        if override.key_or_group == "hydra/launcher" and extra and not is_installed(module):
            raise ConfigError(
                f'{override.input_line} needs packages that are not installed: pip install "qsnn[{extra}]"'
            )


def is_installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


def sweep_name(overrides: list[Override]) -> list[str]:
    """The override of ``sweep.name``, if there is one. Raises ConfigError where it cannot mean anything."""
    given = [override for override in overrides if override.key_or_group == "sweep.name"]
    if not given or given[-1].value() is None:
        return []
    text = given[-1].input_line or ""
    if given[-1].is_sweep_override():
        raise ConfigError(f"{text} holds several values: a sweep has one name, and its jobs differ in other keys")
    if own_sweeper(overrides):
        raise ConfigError(
            f"{text} is of a list of jobs; with another sweeper name the folder: hydra.sweep.dir=<folder>"
        )
    if any(override.key_or_group == "hydra.sweep.dir" for override in overrides):
        raise ConfigError(f"{text} and hydra.sweep.dir both name the folder of the sweep: leave out one of them")
    return [text]


def sweep_folder(cfg: DictConfig, names: list[str]) -> Path:
    """One folder for the whole sweep: hydra.sweep.dir as the first job has it, with the ``names`` of all experiments.

    ``cfg``: that job's config with its node ``hydra``. Hydra itself asks every job, and would scatter runs of several names.
    """
    unique = list(dict.fromkeys(names))
    with open_dict(cfg):
        cfg.name = unique[0] if len(unique) == 1 else folder_name("+".join(unique))
    return Path(str(cfg.hydra.sweep.dir))


def check_sweep_folder(folder: Path, key: str) -> None:
    """Raise ConfigError, which names ``key``, where a file is in the place of a sweep's folder, or of one around it."""
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise ConfigError(f"{key}: {folder} cannot be the sweep's folder, as {path} is a file: give another {key}")


def wants_seeds_together(cfg: DictConfig) -> bool:
    """Whether a job with this config is to be trained as one with its other seeds."""
    return bool(OmegaConf.select(cfg, "trainer.vectorize") == "seed")


def check_objective(cfg: DictConfig) -> None:
    """Raise ConfigError if a run with this config has no recordings for validation, whose error a sweeper could minimise."""
    share = OmegaConf.select(cfg, "dataset.validation_share")
    if share == 0:
        raise ConfigError(
            f"dataset.validation_share={share} is not possible: the sweeper minimises the error of the validation part, and "
            "there is none; set it above 0, such as 0.2"
        )
