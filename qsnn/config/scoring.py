"""What `qsnn.evaluate` does: a finished run's folder to its scores, from the checkpoints alone."""

import json
from pathlib import Path
from typing import Any

from qsnn.config.building.memory import memory_explained
from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, parse_overrides, quoted, saved_and_given, take_path
from qsnn.config.paths import split_checkpoint
from qsnn.config.resume import load_best, restore
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.reporting.pictures import write_raster
from qsnn.training.bptt import evaluate
from qsnn.training.local_run import LocalRun
from qsnn.training.pattern_run import PatternRun


def score_run(arguments: list[str]) -> str:
    """The scores of the last and of the best weights, as JSON text. Raises ConfigError, DataError, RunFolderError."""
    path, overrides = take_path(arguments, "run")
    if path is None:
        raise ConfigError("run= names no folder: give a run's, such as run=outputs/<experiment>/<time>")
    folder, checkpoint = split_checkpoint(path)
    merged = saved_and_given(folder, [text for text in overrides if not text.startswith("hydra.")])
    parse_overrides(merged)
    config = to_config(compose_config([*merged, f"resume={quoted(path)}"]))
    with memory_explained(config):
        return _score(config, folder, checkpoint)


def _score(config: Config, folder: Path, checkpoint: str) -> str:
    run = build_run(config, folder)
    restore(run, folder, checkpoint)
    best = load_best(run, folder)
    scores = score_local(run, best) if isinstance(run, LocalRun) else score_pattern(run, best)
    return json.dumps({"run": str(folder), "epochs": run.state.epoch, **scores}, indent=2)


def score_pattern(run: PatternRun, best: dict[str, Any] | None) -> dict[str, Any]:
    """Distances and rates of the last and of the best weights; writes raster.png."""
    final, activity = evaluate(run.state.model, run.pattern, run.loss)
    title = f"epoch {run.state.epoch}, distance {final['distance']:.1f} ({final['relative_distance']:.1%} of silence)"
    write_raster(run.folder / "raster.png", activity, run.pattern.target, title)
    if best is None:
        return {"final": final}
    run.state.model.load_state_dict(best["model"])
    return {"final": final, "best": {"epoch": best["epoch"], **evaluate(run.state.model, run.pattern, run.loss)[0]}}


def score_local(run: LocalRun, best: dict[str, Any] | None) -> dict[str, Any]:
    """Accuracies in validation and test, rates and confusion matrices of the last and of the best weights.

    Without a validation part no weights are the best.
    """
    final = local_scores(run)
    if best is None or not len(run.split.validation):
        return {"final": final}
    run.state.model.load_state_dict(best["model"])
    run.validated.clear()
    return {"final": final, "best": {"epoch": best["epoch"], **local_scores(run)}}


def local_scores(run: LocalRun) -> dict[str, Any]:
    """Of the weights as they are, as summary.json has them."""
    validation = run.validate()
    known = {} if validation is None else {"validation_accuracy": validation.accuracy()}
    return {**known, **run.evaluate(run.split.test).summary("test")}
