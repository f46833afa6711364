"""A run from composed config to summary: what `qsnn.train` does once Hydra has chosen the folder."""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from qsnn.config.builders import build_logging, build_run, flatten, to_config
from qsnn.config.resume import checkpoint_path, restore
from qsnn.config.schema import Config
from qsnn.errors import NonFiniteError, RunFolderError
from qsnn.training.loop import Outcome, Run, train
from qsnn.training.reporter import Reporter
from qsnn.training.summary import git_commit, library_versions, memory_bytes, summary_table, write_json

log = logging.getLogger(__name__)


def start(cfg: DictConfig, folder: Path, overrides: list[str]) -> Outcome:
    """Build, train (from the last checkpoint, if ``resume`` is set), write summary.json and print the table.

    ``cfg``: the composed config; ``overrides``: what it was composed with, for the record. Raises QsnnError, OSError.
    """
    config = to_config(cfg)
    if config.resume is None and checkpoint_path(folder).exists():
        raise RunFolderError(f"{folder} already holds a run: resume={folder} goes on with it; or choose another folder")
    run = build_run(config, folder)
    if config.resume is not None:
        restore(run, folder)
        log.info("resuming %s after epoch %d", folder, run.state.epoch)
    facts = describe_run(config, overrides, run)
    try:
        outcome = train(run, lambda: make_reporter(config, cfg, run))
    except NonFiniteError as error:
        write_json(
            folder / "summary.json", {"status": "failed", "error": str(error), **facts, "epochs": run.state.epoch}
        )
        raise
    results = {"final": outcome.final, "best": outcome.best, "seconds": outcome.seconds}
    write_json(folder / "summary.json", {"status": outcome.status, "epochs": run.state.epoch, **results, **facts})
    report(run, outcome)
    return outcome


def make_reporter(config: Config, cfg: DictConfig, run: Run) -> Reporter:
    """The reporter of a run, with the config as text and the hyperparameters of its row in the HParams table."""
    silent = run.loss.of_silence(run.pattern.target)
    text = OmegaConf.to_yaml(cfg, resolve=True)
    return Reporter(
        run.folder, run.state, run.settings.epochs, build_logging(config), silent, text, hyperparameters(run)
    )


def hyperparameters(run: Run) -> dict[str, int | float | str | bool]:
    """Every leaf of the config but paths and logging, as TensorBoard takes them."""
    flat = flatten(run.facts["config"])
    kept = {key: value for key, value in flat.items() if not key.startswith(("logging.", "resume"))}
    return {key: value if isinstance(value, int | float | str | bool) else str(value) for key, value in kept.items()}


def describe_run(config: Config, overrides: list[str], run: Run) -> dict[str, Any]:
    """What summary.json says of a run beside its results."""
    return {
        "experiment": config.name,
        "seed": config.seed,
        "overrides": overrides,
        "silent_distance": run.loss.of_silence(run.pattern.target),
        "quantization": dict(vars(config.quantization)),
        "memory_bytes": memory_bytes(run.state.model),
        "device": config.device,
        "kernels": run.loss.backend.name,
        "versions": library_versions(),
        "git_commit": git_commit(),
    }


def report(run: Run, outcome: Outcome) -> None:
    """The table at the end, and where everything is."""
    silent = run.loss.of_silence(run.pattern.target)
    table = summary_table(outcome, run.state.epoch, memory_bytes(run.state.model), silent)
    files = ["summary.json", "metrics.jsonl", "raster.png", "checkpoints/last.pt", "checkpoints/best.pt"]
    log.info("\n%s\n\n  wrote %s/\n        %s", table, relative(run.folder), "  ".join(files))
    if outcome.status != "finished":
        log.info("  go on: python -m qsnn.train resume=%s", relative(run.folder))


def relative(folder: Path) -> Path:
    """The folder as seen from here, if it is below."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
