"""A run from composed config to summary: what `qsnn.train` does once Hydra has chosen the folder."""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from qsnn.command import describe
from qsnn.config.building.common import build_logging, flatten, plain_config, to_config
from qsnn.config.building.cost import costed_run, costs_by, measured_rates, memory_of_run
from qsnn.config.building.memory import memory_explained
from qsnn.config.building.run import build_run
from qsnn.config.checking.checks import widths_there
from qsnn.config.checking.remarks import remarks, remedies
from qsnn.config.packages import packages_of
from qsnn.config.paths import AUTO, split_checkpoint
from qsnn.config.resume import begin_again_from, check_vacant, checkpoint_path, goes_on, restore
from qsnn.config.schema import Config
from qsnn.config.sharing.group import begin_together
from qsnn.config.start_from import begin_with_source
from qsnn.errors import QsnnError
from qsnn.hardware.cost import cost_scalars, energy_rows
from qsnn.hardware.memory import memory_rows
from qsnn.kernels.workers import ONE, Workers
from qsnn.models.connections import knows
from qsnn.options import GROUPS
from qsnn.reporting.evaluation_files import PREDICTIONS, RATES
from qsnn.reporting.identity import identity_of
from qsnn.reporting.reporter import Reporter
from qsnn.reporting.summary import git_commit, library_versions, table_of
from qsnn.training.folders.spike_counts import read_counts
from qsnn.training.folders.state import QUEUED, RUNNING
from qsnn.training.gradient_codes import gradient_code_bits
from qsnn.training.interrupt import Stopped
from qsnn.training.json_file import write_json
from qsnn.training.loop import Outcome, train
from qsnn.training.run import Ending, Run
from qsnn.training.runs import UNFINISHED, read_job

KEPT = ("metrics.jsonl", RATES, PREDICTIONS)
"""Files beside summary.json, which tells those that there are: who compares runs knows then what is gone."""
log = logging.getLogger(__name__)


def start(cfg: DictConfig, folder: Path, overrides: list[str], workers: Workers = ONE) -> Outcome:
    """Build, train (from the last checkpoint, if ``resume`` is set), write summary.json and print the table.

    ``cfg``: the composed config; ``overrides``: what it was composed with, for the record; ``workers``: the processes that
    share the run, of which this is the first. Raises QsnnError, OSError.
    """
    config = to_config(cfg)
    check_vacant(config, folder)
    with memory_explained(config):
        try:
            return _start(config, folder, overrides, workers)
        except (QsnnError, OSError, Stopped):
            workers.tell_once()  # the others need not say that this process has gone
            raise


class Beginning(NamedTuple):
    """A run that is ready to train. ``facts``: what its summary.json says beside its results; ``before``: epochs it has."""

    config: Config
    run: Run
    overrides: list[str]
    facts: dict[str, Any]
    before: int


def prepare(config: Config, folder: Path, overrides: list[str], workers: Workers = ONE) -> Beginning:
    """The run in ``folder``, in the state that it begins or goes on from. Raises QsnnError, OSError."""
    run = build_run(config, folder, workers)
    folder.mkdir(parents=True, exist_ok=True)
    if goes_on(config, folder):
        checkpoint = split_checkpoint(Path(str(config.resume)))[1]
        restore(run, folder, checkpoint)
        begin_again_from(folder, checkpoint)
        log.info("resuming %s after epoch %d", relative(folder), run.state.epoch)
    elif config.start_from is not None:
        begin_with_source(run, config)
        log.info("beginning with the weights of %s", config.start_from)
    elif config.resume == AUTO:
        log.info("resume=auto: %s holds no checkpoint to go on from; starting a new run there", relative(folder))
    begin_together(run)
    facts = describe_run(config, overrides, run)
    for remark in remarks(config, overrides):
        log.warning(remark)
    return Beginning(config, run, overrides, facts, run.state.epoch)


def _start(config: Config, folder: Path, overrides: list[str], workers: Workers) -> Outcome:
    beginning = prepare(config, folder, overrides, workers)
    with end_recorded(beginning):
        outcome = train(beginning.run, reporter_of(beginning))
        conclude(beginning, outcome)
    return outcome


def conclude(beginning: Beginning, outcome: Outcome) -> None:
    """Write summary.json and print the table."""
    run = beginning.run
    best = {"best": outcome.best} if outcome.best else {}
    measured = {"seconds": outcome.seconds, "seconds_start": outcome.seconds_start}
    results = {"final": outcome.final, **best, **measured, "gradient_code_bits": code_bits_of(run)}
    facts = {**beginning.facts, **_energy_of(beginning, outcome)}
    written = {"files": [name for name in KEPT if (run.folder / name).is_file()]}
    summary = {"status": outcome.status, "epochs": run.state.epoch, **results, **facts, **written}
    write_json(run.folder / "summary.json", summary)
    report(run, outcome, facts)


def _energy_of(beginning: Beginning, outcome: Outcome) -> dict[str, Any]:
    """``energy`` for summary.json, by the spikes of the evaluation with which a run has finished; of one that was stopped there
    are none."""
    costed = costed_run(beginning.config, beginning.run)
    if costed is None or not knows(costed.net) or outcome.status != "finished":
        return {}
    rates = measured_rates(costed, read_counts(beginning.run.folder))
    return {"energy": costs_by(beginning.config, costed, rates, beginning.overrides).plain()}


def _costs_at(beginning: Beginning, ending: Ending) -> dict[str, float]:
    """What TensorBoard shows of a run's costs."""
    costed = costed_run(beginning.config, beginning.run)
    if costed is None or ending.detail is None or ending.detail.counts is None:
        return {}
    costs = costs_by(beginning.config, costed, measured_rates(costed, ending.detail.counts), beginning.overrides)
    return cost_scalars(beginning.facts["memory_bits"], costs.plain())


@contextlib.contextmanager
def end_recorded(beginning: Beginning) -> Iterator[None]:
    """Within training: have summary.json tell what ended it early, if something does."""
    try:
        yield
    except (QsnnError, OSError) as error:
        record_failure(beginning, error)
        raise
    except Stopped as stop:
        record_stop(beginning)
        folder = beginning.run.folder
        if checkpoint_path(folder).exists():
            stop.note = f"its last checkpoint is kept; go on: python -m qsnn.train resume={relative(folder)}"
        raise


def record_failure(beginning: Beginning, error: QsnnError | OSError) -> None:
    """Write why training ended early into summary.json."""
    facts = {"error": describe(error), **beginning.facts, "epochs": beginning.run.state.epoch}
    _record_end(beginning.run.folder, facts)


def record_stop(beginning: Beginning) -> None:
    """Write that a signal came, outside of training, into the summary.json of a run that has a checkpoint and is not finished:
    what it leaves in the first piece of training is not saved."""
    run = beginning.run
    if checkpoint_path(run.folder).exists() and read_job(run.folder).status != "finished":
        epochs = run.state.epoch if run.finished() else beginning.before
        _record_end(run.folder, {**beginning.facts, "epochs": epochs}, "stopped")


def record_refusal(folder: Path, cfg: DictConfig, overrides: list[str], reason: str, status: str = "failed") -> None:
    """Write the summary.json of a job that failed, or was stopped, before it trained.

    A folder that held a run keeps what that one reached.
    """
    if not checkpoint_path(folder).exists() and read_job(folder).status in (UNFINISHED, QUEUED, RUNNING):
        known = {**_identity(cfg), "overrides": overrides}
        facts = {"error": reason, **known, "versions": library_versions(), "git_commit": git_commit()}
        _record_end(folder, facts, status)


def _identity(cfg: DictConfig) -> dict[str, Any]:
    """Experiment and seed; as they were typed where what they mean is just what cannot be found."""
    try:
        return {"experiment": cfg.name, "seed": cfg.seed}
    except OmegaConfBaseException:
        typed = OmegaConf.to_container(cfg, resolve=False)
        assert isinstance(typed, dict)
        return {"experiment": typed["name"], "seed": typed["seed"]}


def _record_end(folder: Path, facts: dict[str, Any], status: str = "failed") -> None:
    """Write how a run ended early, if its folder is there and can still be written; the caller tells it in any case."""
    if folder.is_dir():
        with contextlib.suppress(OSError):
            write_json(folder / "summary.json", {"status": status, **facts})


def reporter_of(beginning: Beginning, progress: bool = True) -> Callable[[], Reporter]:
    """What makes the run's reporter; ``progress``: with the bar, if the config has one."""
    config, run = beginning.config, beginning.run
    identity = identity_of(
        run,
        yaml.safe_dump(settled_config(config), sort_keys=False),
        hyperparameters(config),
        remedies(config, beginning.overrides),
    )
    identity = identity._replace(name=config.name, sweep=sweep_of(run.folder))
    settings = build_logging(config)
    settings = settings._replace(progress=settings.progress and progress)
    return lambda: Reporter(identity, settings, lambda ending: _costs_at(beginning, ending))


def sweep_of(folder: Path) -> str | None:
    """``<experiment>/<name or time>`` of the sweep that a run's folder lies in, if it does: one has a multirun.yaml."""
    sweep = next((parent for parent in folder.absolute().parents if (parent / "multirun.yaml").is_file()), None)
    return None if sweep is None else f"{sweep.parent.name}/{sweep.name}"


def settled_config(config: Config) -> dict[str, Any]:
    """The config as the run has it, each group with the name of its option: without a loss or a number of epochs that are left
    to follow from the rest, as they are in the config that Hydra composes."""
    named = {group: {"option": getattr(config, group).option} for group in GROUPS}
    plain = {name: value for name, value in plain_config(config).items() if name != "search"}
    return {name: named[name] | value if name in named else value for name, value in plain.items()}


def used_widths(config: Config) -> dict[str, Any]:
    """The quantization without the widths of what the chosen net does not have."""
    used = widths_there(config)
    return {
        name: value for name, value in vars(config.quantization).items() if name in used or not name.endswith("_bits")
    }


def hyperparameters(config: Config) -> dict[str, int | float | str | bool]:
    """Every leaf of the config but paths, logging and widths without use, as TensorBoard takes them.

    TensorBoard sorts the columns of its table by name and shows the first five; those that differ between runs come first.
    So that bit widths are seen, they are called ``bits.<key>`` there, and ``bits`` has all of them.
    """
    flat = flatten({**plain_config(config), "quantization": used_widths(config)})
    left_out = ("logging.", "resume", "sweep.", "search.", "hardware.")
    kept = {key: value for key, value in flat.items() if not key.startswith(left_out)}
    named = {re.sub(r"^quantization\.(.*_bits)$", r"bits.\1", key): value for key, value in kept.items()}
    widths = [(key.removeprefix("bits.").removesuffix("_bits"), named[key]) for key in named if key.startswith("bits.")]
    named["bits"] = ", ".join(f"{name} {'null' if width is None else width}" for name, width in widths)
    plain = {key: "null" if value is None else value for key, value in named.items()}
    return {key: value if isinstance(value, int | float | str) else str(value) for key, value in plain.items()}


def describe_run(config: Config, overrides: list[str], run: Run) -> dict[str, Any]:
    """What summary.json says of a run beside its results."""
    packages = packages_of(config)
    return {
        "experiment": config.name,
        "seed": config.seed,
        "overrides": overrides,
        **run.task.facts(),
        **{name: run.facts[name] for name in ("accumulator_bits",) if name in run.facts},
        "memory_bytes": run.state.model.memory_bytes(),
        **({"memory_bits": memory.plain()} if (memory := memory_of_run(config, run)) else {}),
        "kernels": run.learner.backend_name,
        **({"processes": run.workers.size} if run.workers.size > 1 else {}),
        "quantization": used_widths(config),
        "config": settled_config(config),
        **({"packages": packages} if packages else {}),
        "device": config.device,
        "versions": library_versions(),
        "git_commit": git_commit(),
    }


def code_bits_of(run: Run) -> dict[str, int]:
    """`gradient_code_bits` of the run so far; nothing of one that has not made any gradient."""
    return gradient_code_bits(run.state.largest_codes, run.settings.rounding) if run.started() else {}


def report(run: Run, outcome: Outcome, facts: dict[str, Any]) -> None:
    """The table at the end, and where everything is."""
    files = ["summary.json", "metrics.jsonl", "checkpoints/last.pt"]
    memory = memory_rows(facts["memory_bits"]) if "memory_bits" in facts else None
    if memory is not None and "energy" in facts:
        memory += energy_rows(facts["energy"])
    table = table_of(run, outcome, code_bits_of(run), memory)
    files += [name for name in ("checkpoints/best.pt", "raster.png", "confusion.png") if (run.folder / name).exists()]
    log.info("\n%s\n\n  wrote %s/\n        %s", table, relative(run.folder), "  ".join(files))
    if outcome.status != "finished":
        log.info("  go on: python -m qsnn.train resume=%s", relative(run.folder))


def relative(folder: Path) -> Path:
    """The folder as seen from here, if it is below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
