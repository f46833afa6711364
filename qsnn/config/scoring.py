"""What `qsnn.evaluate` does: a finished run's folder to its scores, from the checkpoints alone."""

import json
from pathlib import Path
from typing import Any

from qsnn.config.building.memory import memory_explained
from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, parse_overrides, saved_and_given, take_path
from qsnn.config.paths import quoted, split_checkpoint
from qsnn.config.resume import load_best, restore
from qsnn.config.schema import Config
from qsnn.config.search_path import note_search_path
from qsnn.errors import ConfigError
from qsnn.reporting.reporter import write_pictures
from qsnn.training.run import Run


def score_run(arguments: list[str]) -> str:
    """The scores of the last and of the best weights, as JSON text. Raises ConfigError, DataError, RunFolderError."""
    path, overrides = take_path(note_search_path(arguments), "run")
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
    scores = scores_of(run, load_best(run, folder))
    return json.dumps({"run": str(folder), "epochs": run.state.epoch, **scores}, indent=2)


def scores_of(run: Run, best: dict[str, Any] | None) -> dict[str, Any]:
    """Scores of a run's weights, ``final``, of which it writes the pictures that there are, and of those in the checkpoint
    ``best``, which stay in its net."""
    final, ending = run.task.scores_now(run)
    if ending is not None:
        write_pictures(run, ending)
    if best is None:
        return {"final": final}
    run.state.model.load_state_dict(best["model"])
    return {"final": final, "best": {"epoch": best["epoch"], **run.task.scores_now(run)[0]}}
