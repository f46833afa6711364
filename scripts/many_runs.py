"""Make many finished runs out of a few real ones, to see how `qsnn.report` and TensorBoard take them.

python scripts/many_runs.py FOLDER_OF_RUNS TARGET [--runs 1000]

Copies every file of finished runs but their checkpoints. Each copy has a seed, a weight width, a state width and a number of
hidden neurons of its own, in summary.json and in the overrides, and scores and predictions that were drawn. They are no runs
that anybody made: nothing can be learned from their numbers.
"""

import argparse
import itertools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

WIDTHS, STATES, HIDDEN = (1, 2, 3, 4, 8), (5, 6, 7, 8), (16, 32, 64, 128, 256)
SWEPT = ("quantization.weight_bits", "quantization.state_bits", "model.hidden", "seed")


def finished_runs(folder: Path) -> list[Path]:
    """Folders with a summary that says so."""
    found = [path.parent for path in sorted(folder.rglob("summary.json"))]
    return [run for run in found if json.loads((run / "summary.json").read_text())["status"] == "finished"]


def varied(summary: dict[str, Any], values: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """The summary of another configuration and seed; scores move by a few percent of themselves."""
    config = summary["config"]
    for key, value in values.items():
        *parents, leaf = key.split(".")
        owner = config
        for name in parents:
            owner = owner[name]
        owner[leaf] = value
    summary["seed"] = values["seed"]
    kept = [text for text in summary["overrides"] if text.partition("=")[0] not in SWEPT]
    summary["overrides"] = [*kept, *(f"{key}={json.dumps(value)}" for key, value in values.items())]
    factor = 1 + 0.1 / values["quantization.weight_bits"] + rng.normal(0, 0.01)
    for scores in (summary["final"], summary.get("best", {})):
        for name in ("distance", "relative_distance"):
            if name in scores:
                scores[name] *= factor
    if "memory_bytes" in summary:
        summary["memory_bytes"]["parameters"] = 30 * values["model.hidden"][0] * values["quantization.weight_bits"] / 8
    return summary


def classified(run: Path, summary: dict[str, Any], share: float, rng: np.random.Generator) -> None:
    """Of runs of classes: some predictions, drawn anew, and the scores that follow from them."""
    path = run / "test_predictions.npz"
    if not path.exists():
        return
    with np.load(path) as file:
        index, label = file["index"], file["label"]
    K = int(label.max()) + 1
    right = rng.random(len(label)) < share
    prediction = np.where(right, label, (label + rng.integers(1, K, len(label))) % K).astype(np.int32)
    np.savez_compressed(path, index=index, label=label, prediction=prediction)
    for scores in (summary["final"], summary.get("best", {})):
        if "test_accuracy" in scores:
            scores["test_accuracy"] = float(right.mean())
            scores["confusion"] = np.bincount(label * K + prediction, minlength=K * K).reshape(K, K).tolist()


def main() -> int:
    """Make them; exit status 1 if there is nothing to copy."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, metavar="FOLDER_OF_RUNS")
    parser.add_argument("target", type=Path)
    parser.add_argument("--runs", dest="number", type=int, default=1000)
    options = parser.parse_args()
    real = finished_runs(options.runs)
    if not real:
        sys.stderr.write(f"error: no finished run below {options.runs}\n")
        return 1
    rng, settings = np.random.default_rng(0), list(itertools.product(WIDTHS, STATES, HIDDEN))
    for number in range(options.number):
        bits, state, hidden = settings[number % len(settings)]
        values = dict(zip(SWEPT, (bits, state, [hidden], number // len(settings)), strict=True))
        run = options.target / f"{number:05d}"
        shutil.copytree(real[number % len(real)], run, ignore=shutil.ignore_patterns("checkpoints", "*.log", "*.lock"))
        summary = varied(json.loads((run / "summary.json").read_text()), values, rng)
        classified(run, summary, 1 - 0.5 / bits - 4 / (hidden + 8), rng)
        (run / "summary.json").write_text(json.dumps(summary, indent=2))
    print(f"{options.number} runs in {options.target}, copied from {len(real)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
