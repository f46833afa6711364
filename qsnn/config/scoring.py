"""What `qsnn.evaluate` does: a finished run's folder to its scores, from the checkpoints alone."""

import json

from qsnn.config.builders import build_run, to_config
from qsnn.config.command_line import compose_config, merge_overrides, quoted, take_path
from qsnn.config.paths import saved_overrides
from qsnn.config.resume import restore
from qsnn.errors import ConfigError, RunFolderError
from qsnn.training.bptt import evaluate
from qsnn.training.checkpoint import BEST, load_checkpoint
from qsnn.training.pictures import write_raster


def score_run(arguments: list[str]) -> str:
    """The scores of the last and of the best weights, as JSON text. Raises ConfigError, DataError, RunFolderError."""
    folder, overrides = take_path(arguments, "run")
    if folder is None:
        raise ConfigError("run= names no folder: give a run's, such as run=outputs/<experiment>/<time>")
    merged = [text for text in merge_overrides(saved_overrides(folder), overrides) if not text.startswith("hydra.")]
    run = build_run(to_config(compose_config([*merged, f"resume={quoted(folder)}"])), folder)
    restore(run, folder)
    final, activity = evaluate(run.state.model, run.pattern, run.loss)
    title = f"epoch {run.state.epoch}, distance {final['distance']:.1f} ({final['relative_distance']:.1%} of silence)"
    write_raster(folder / "raster.png", activity, run.pattern.target, title)
    scores = {"run": str(folder), "epochs": run.state.epoch, "final": final}
    best_path = folder / "checkpoints" / BEST
    if best_path.exists():
        best = load_checkpoint(best_path)
        try:
            run.state.model.load_state_dict(best["model"])
        except (KeyError, RuntimeError) as error:
            raise RunFolderError(f"{best_path} does not fit this run: {str(error).splitlines()[0]}") from error
        scores["best"] = {"epoch": best["epoch"], **evaluate(run.state.model, run.pattern, run.loss)[0]}
    return json.dumps(scores, indent=2)
