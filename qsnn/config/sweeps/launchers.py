"""``hydra/launcher=processes``, and the launchers of Hydra that our own processes stand in for: basic and joblib."""

import importlib
import os
import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from qsnn.config.paths import quoted
from qsnn.config.sweep_jobs import is_installed
from qsnn.config.sweeps.planning import Planned, folder_names
from qsnn.errors import ConfigError

PLUGINS = "hydra_plugins"
MODULE = f"{PLUGINS}.qsnn"  # Hydra takes plugins of modules of that name only
PROCESSES = f"{MODULE}.ProcessesLauncher"
BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
JOBLIB_PACKAGE = "hydra_plugins.hydra_joblib_launcher"


@dataclass
class ProcessesConf:
    """Jobs in ``n_jobs`` processes of this machine; negative: all its cores but -n_jobs - 1, as joblib counts."""

    _target_: str = PROCESSES
    n_jobs: int = -1


class ProcessesLauncher(Launcher):
    """Our processes for a sweeper of somebody else's; a list of jobs does without (`launching`)."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """What Hydra has to say, before the first batch."""
        self._context, self._cfg = hydra_context, config

    def __init__(self, n_jobs: int) -> None:
        self._n_jobs = n_jobs

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """One batch."""
        from qsnn.config.sweeps.processes import run_in_processes

        folder = Path(str(self._cfg.hydra.sweep.dir))
        names = folder_names(job_overrides, deepcopy(self._cfg), initial_job_idx)
        jobs = [
            Planned([*job, f"hydra.sweep.subdir={quoted(Path(name))}"], folder / name)
            for job, name in zip(job_overrides, names, strict=True)
        ]
        return run_in_processes(jobs, workers_of(self._cfg), self._cfg, self._context, planned=False)


ProcessesLauncher.__module__ = MODULE


def _make_module() -> None:
    """Let Hydra find the class where it looks for plugins. A folder ``hydra_plugins`` would be shared with other packages."""
    try:
        importlib.import_module(PLUGINS)
    except ModuleNotFoundError:  # no plugin is installed
        sys.modules[PLUGINS] = ModuleType(PLUGINS)
        sys.modules[PLUGINS].__path__ = []
    module = sys.modules.setdefault(MODULE, ModuleType(MODULE))
    for owner, name, value in (
        (module, "ProcessesLauncher", ProcessesLauncher),
        (sys.modules[PLUGINS], "qsnn", module),
    ):
        setattr(owner, name, value)


def register_launchers() -> None:
    """Make ``hydra/launcher=processes`` known to Hydra, and ``joblib`` where Hydra's plugin of that name is not installed."""
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="processes", node=ProcessesConf, provider="qsnn")
    if not is_installed(JOBLIB_PACKAGE):
        store.store(group="hydra/launcher", name="joblib", node=ProcessesConf, provider="qsnn")
    _make_module()
    Plugins.instance().register(ProcessesLauncher)


def workers_of(cfg: DictConfig) -> int:
    """How many of our processes the launcher of this config means; 0 for one that has ways of its own. Raises ConfigError."""
    launcher = cfg.hydra.launcher
    if launcher["_target_"] == BASIC:
        return 1
    if launcher["_target_"] not in (PROCESSES, JOBLIB):
        return 0
    _check_settings(list(cfg.hydra.overrides.hydra))
    number, cores = int(launcher.n_jobs), cpu_count()
    if number == 0:
        raise ConfigError(
            "hydra.launcher.n_jobs=0 is not possible: give the number of jobs at once, or -1 for all cores"
        )
    return number if number > 0 else max(1, cores + 1 + number)


def _check_settings(overrides: list[str]) -> None:
    """Raise ConfigError for a setting of joblib's that our processes do not have."""
    for text in overrides:
        if text.startswith("hydra.launcher.") and not text.startswith("hydra.launcher.n_jobs="):
            raise ConfigError(
                f"{text} is not taken: jobs run in processes of qsnn's own, which have hydra.launcher.n_jobs only"
            )


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
