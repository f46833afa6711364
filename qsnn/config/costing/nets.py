"""The net whose costs are asked for, and its spikes: of a finished run, of an untrained net, or assumed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import (
    Costed,
    assumed,
    costed_config,
    costed_net,
    costed_run,
    costs_by,
    measured_rates,
    needs_no_files,
)
from qsnn.config.building.memory import memory_explained
from qsnn.config.building.run import build_run, check_startable
from qsnn.config.command_line import compose_config, parse_overrides, saved_and_given
from qsnn.config.costing.fitting import check_fits, size_of
from qsnn.config.nets import load_net
from qsnn.config.saved_overrides import run_of_sweep
from qsnn.config.schema import Config
from qsnn.data.words import CLASSES
from qsnn.errors import ConfigError, DataError, RunFolderError
from qsnn.hardware.cost import Costs
from qsnn.hardware.counts.rates import UNTRAINED
from qsnn.hardware.memory import Memory
from qsnn.models.connections import knows
from qsnn.models.local_net import LocalNet
from qsnn.models.spiking_net import SpikingNet
from qsnn.training.folders.spike_counts import read_counts
from qsnn.training.runs import Job, read_job


class Costing(NamedTuple):
    """Memory, and energy with all its counts. ``origin``: whose spikes, of a run; None of a config alone."""

    memory: Memory
    costs: Costs
    origin: dict[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """For the file."""
        return {
            "energy": self.costs.plain(), "memory_bits": self.memory.plain(), "hardware": vars(self.costs.hardware),
            "counts": self.costs.counted(), **({"run": self.origin} if self.origin else {}),
        }  # fmt: skip


def cost_of_run(folder: Path, overrides: Sequence[str]) -> Costing:
    """By a finished run's spikes. ``overrides``: of the hardware alone. Raises ConfigError and RunFolderError."""
    other = next((text for text in overrides if not text.startswith(("hardware=", "hardware."))), None)
    if other is not None:
        raise ConfigError(
            f"run= takes hardware= alone, and {other} would make another run of it: leave out one of both"
        )
    job = _finished(folder)
    parse_overrides([*overrides])
    saved = load_net(folder, [*overrides])
    config, counts = saved.config, read_counts(folder)
    labelled, size = CLASSES in config.dataset.gives, size_of(config, job.summary)
    training = size[1] or counts.num_steps  # of a pattern, which is trained as it is tested
    if labelled:
        training = config.dataset.windows(config.neuron.dt, training=True).num_steps
    costed = _known(costed_net(config, saved.net, saved.inputs, config.trainer.rule(config), training))
    check_fits(costed, counts, size, folder)
    given = saved_and_given(folder, [*overrides])
    costs = costs_by(config, costed, measured_rates(costed, counts), given)
    return Costing(costed.memory(), costs, _origin(job.summary, labelled))


def _origin(summary: Mapping[str, Any], labelled: bool) -> dict[str, Any]:
    """Of a run: how it is, and whose spikes were counted: the best weights', if validation chose some, else the last ones'."""
    best = summary.get("best") if labelled else None
    origin = {"weights": "last", "epoch": summary.get("epochs")}
    if isinstance(best, dict) and "epoch" in best:
        origin = {"weights": "best", "epoch": best["epoch"]}
    return {"status": summary["status"], "epochs": summary.get("epochs"), **origin}


def _finished(folder: Path) -> Job:
    """The run in a folder. Raises RunFolderError for one that has not finished, and for a folder of something else."""
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is no folder: give a finished run's, such as run=outputs/<experiment>/<time>")
    job, first = read_job(folder), run_of_sweep(folder)
    if job.status != "finished" and first is not None:
        raise RunFolderError(f"{folder} is the folder of a sweep: name one of its runs, such as run={first}")
    if job.status != "finished":
        raise RunFolderError(
            f"{folder} holds no finished run, whose spikes could be counted ({job.status}): {job.reason()}"
        )
    return job


def cost_of_config(overrides: Sequence[str], rate: float | None) -> Costing:
    """Of a fresh net: at an assumed rate or, without one, by its spikes for a batch. Raises ConfigError and DataError."""
    swept = next((o.input_line for o in parse_overrides([*overrides]) if o.is_sweep_override()), None)
    if swept is not None:
        raise ConfigError(f"{swept} holds several values: ask for one config at a time, or use brackets for a list")
    config = to_config(compose_config([*overrides]))
    with memory_explained(config):
        if rate is not None:
            costed = _known(costed_config(config))
            return Costing(costed.memory(), costs_by(config, costed, assumed(config, costed, rate), overrides))
        return _untrained(config, overrides)


def _known(costed: Costed | None) -> Costed:
    """The same. Raises ConfigError for a net with layers of another package."""
    if costed is None or not isinstance(costed.net, SpikingNet | LocalNet) or not knows(costed.net):
        raise ConfigError("the net, or a layer of it, is of another package: nobody knows what it counts")
    return costed


def _untrained(config: Config, overrides: Sequence[str]) -> Costing:
    try:
        check_startable(config)
        run = build_run(config, Path("untrained"))
    except (ConfigError, DataError) as error:
        if not needs_no_files(config) or not (isinstance(error, DataError) or "dataset.root=" in str(error)):
            raise
        advice = "or give rate=, spikes a neuron and step that are assumed, for which no data are needed"
        raise DataError(f"{error}; {advice}") from error
    costed, counts = _known(costed_run(config, run)), run.task.counts_of_example(run)
    assert counts is not None  # of a net that is known
    rates = measured_rates(costed, counts, UNTRAINED)
    return Costing(costed.memory(), costs_by(config, costed, rates, overrides))
