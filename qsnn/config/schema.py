"""The root of the config, and the registry's options as Hydra knows them.

Composition checks names and types against these classes; the files in conf/ of registered options and docs/config.md are
written from them (`scripts/write_config.py`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from qsnn.config.paths import config_folder
from qsnn.hardware.table import Hardware
from qsnn.options import GROUPS, key, options_of
from qsnn.reporting.loggers.names import LOGGERS

DATASET_NAME = "${qsnn.dataset:}"
OBJECTIVES = ("error", "inference", "training", "weights")
SAMPLERS = ("nsgaii", "tpe", "random", "grid")
MORE_GROUPS = ("logging", "search", "hardware", "experiment")
"""Groups of files alone, beside those of options."""
KERNELS = ("auto", "eager", "numba", "triton")


@dataclass
class Limits:
    """Shares above which a health figure prints a warning."""

    saturation: float = key(0.95, "values at or beyond the ends of their range", "share", at_least=0, at_most=1)
    underflow: float = key(0.999, "non-zero values that become zero", "share", at_least=0, at_most=1)
    never_changed: float = key(0.99, "weights whose code was never seen to change", "share", at_least=0, at_most=1)
    silent: float = key(0.9, "neurons without a spike", "share", at_least=0, at_most=1)
    always_firing: float = key(0.1, "neurons that spike in nine of ten steps", "share", at_least=0, at_most=1)


@dataclass
class Logging:
    """Epochs between two writings of each kind; 0 switches it off."""

    metrics_every: int = key(50, "distance or accuracy, firing rates, gradient norms", "epochs", at_least=0)
    health_every: int = key(2000, "saturation, underflow, codes in use, idle neurons", "epochs", at_least=0)
    raster_every: int = key(2000, "spike rasters", "epochs", at_least=0)
    histogram_every: int = key(2000, "histograms of codes", "epochs", at_least=0)
    to: list[str] = key(
        ["tensorboard"],
        "who gets figures beside metrics.jsonl: tensorboard, csv, wandb, mlflow (docs/loggers.md); [] nobody",
        choices=LOGGERS,
    )
    progress: bool = key(True, "show the progress bar")
    limits: Limits = field(default_factory=Limits)


@dataclass
class Sweep:
    """Of a sweep as a whole, by -m."""

    name: str | None = key(None, "its folder in outputs/multirun/<name>/, where the same command goes on", "", "none")


@dataclass
class Search:
    """What `python -m qsnn.search` looks for, and where (docs/search.md); nothing to a single run or a sweep."""

    name: str | None = key(None, "folder in outputs/search/; null: the experiment's name")
    trials: int = key(
        40, "settings to try, over all starts and processes; infeasible ones do not count", at_least=1, at_most=100_000
    )
    over: dict[str, Any] = key(
        {},
        "what to try: {key: values}, a list or a range such as 2..8; the key a width, `<layer>.<width>`, or any key or group",
    )
    objectives: list[str] = key(
        ["error", "inference"],
        "what is to be small: error (in validation) and bits of memory in inference, in training, or of weights",
        choices=OBJECTIVES,
    )
    within: float | None = key(
        0.01,
        "share by which a setting's error may lie above full precision's, which is trained first; null: any, and it is not",
        at_least=0,
        at_most=1,
    )
    reference: str | None = key(None, "folder of a finished run to be `within` of, instead of training one")
    sampler: str = key(
        "nsgaii", "who chooses: nsgaii, tpe, random or grid (every combination in turn)", choices=SAMPLERS
    )
    sampler_seed: int = key(0, "seed of its choices", at_least=0, at_most=2**31)
    seeds: int = key(1, "runs of a setting, of seed, seed + 1, ...; its error is their mean", at_least=1, at_most=1000)
    batch: int = key(1, "settings that the launcher runs at once", at_least=1, at_most=10_000)


@dataclass
class Config:
    """The root."""

    name: str = key(DATASET_NAME, "name of the experiment: its runs' folder in outputs/")
    seed: int = key(
        0, "seed of initial weights and gradient rounding", "", "none: not seeded", at_least=0, at_most=2**63
    )
    device: str = key("cpu", "cpu, cuda or cuda:<index>")
    kernels: str = key("auto", "auto, eager, numba or triton; all give the same bits on grids", choices=KERNELS)
    threads: int = key(
        1, "CPU threads of a run; more pay off only for nets or batches much larger than the default's",
        at_least=1, at_most=1024,
    )  # fmt: skip
    resume: str | None = key(None, "folder of a run to go on with", "", "none")
    start_from: str | None = key(
        None,
        "folder of another run whose best weights this one begins with, across bit widths; with trainer.epochs=0 it only tests",
    )
    sweep: Sweep = field(default_factory=Sweep)
    model: Any = MISSING
    quantization: Any = MISSING
    neuron: Any = MISSING
    dataset: Any = MISSING
    loss: Any = MISSING
    trainer: Any = MISSING
    optimizer: Any = MISSING
    logging: Logging = field(default_factory=Logging)
    search: Search = field(default_factory=Search)
    hardware: Hardware = field(default_factory=Hardware)


def register_schema() -> None:
    """Make the classes known to Hydra as ``schema`` and ``schema/<group>/<option>``, which the files in conf/ name; and as
    ``<group>/<option>``, by which an option without a file, such as another package's, can be chosen."""
    store = ConfigStore.instance()
    # Hydra copies its sources, and the whole store with them, for every composition and 150 times for --help; it only
    # reads there, and copies what it reads.
    vars(store)["__deepcopy__"] = lambda memo: store
    store.store(name="schema", node=Config)
    store.store(group="schema/logging", name="logging", node=Logging)
    store.store(group="schema/search", name="search", node=Search)
    store.store(group="schema/hardware", name="hardware", node=Hardware)
    for group in GROUPS:
        for name, option in options_of(group).items():
            store.store(group=f"schema/{group}", name=name, node=option)
            if not option.__module__.startswith("qsnn."):  # of another package: chosen without a file in conf/
                store.store(group=group, name=name, node=option)
            if not (Path(config_folder()) / group / f"{name}.yaml").is_file():
                store.store(group=group, name=name, node=option)
