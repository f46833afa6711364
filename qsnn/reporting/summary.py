"""summary.json and the table at the end of a run: what was reached, with what, at what cost in memory and time."""

import subprocess
from functools import singledispatch
from importlib import metadata
from pathlib import Path
from typing import Any

from qsnn import __version__
from qsnn.training.class_task import ClassTask
from qsnn.training.loop import TOLD_FROM, Outcome
from qsnn.training.pattern_task import PatternTask
from qsnn.training.run import Run

Rows = list[tuple[str, str]]
LIBRARIES = ("torch", "numpy", "hydra-core", "omegaconf", "tensorboard", "numba")


def library_versions() -> dict[str, str]:
    """Versions of this package and of the libraries that its numbers depend on."""
    versions = {"qsnn": __version__}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def git_commit() -> str | None:
    """Commit of the source tree that the code runs from, with "+" if it has changes; None if it is installed."""
    tree = Path(__file__).resolve().parents[2]
    if not (tree / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(tree), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def table(rows: Rows) -> str:
    """Names and values, aligned."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def _common_rows(run: Run, outcome: Outcome, code_bits: dict[str, int], memory: Rows | None) -> Rows:
    per_epoch, wait = 1000 * outcome.seconds / max(1, run.state.epoch), outcome.seconds_start
    start = f", after {wait:.1f} s in which kernels were compiled or loaded" if wait >= TOLD_FROM else ""
    seen = ", ".join(f"{name} {bits} bits" for name, bits in code_bits.items())
    return [
        *([("widest gradients", f"{seen}, as integers")] if seen else []),
        *(_bytes_of(run) if memory is None else memory),
        ("time", f"{outcome.seconds:.1f} s, {per_epoch:.1f} ms an epoch{start}"),
    ]


def _bytes_of(run: Run) -> Rows:
    """The memory of a net whose terms nobody has worked out."""
    memory = run.state.model.memory_bytes()
    told = f"weights {memory['parameters'] / 1024:.1f} KiB, neuron state {memory['state'] / 1024:.2f} KiB"
    return [("memory", told)]


def table_of(run: Run, outcome: Outcome, code_bits: dict[str, int], memory: Rows | None = None) -> str:
    """The few numbers of a run that a reader wants first. ``memory``: rows of it to the bit, else its bytes are told."""
    rows = [("status", outcome.status), ("epochs", f"{run.state.epoch}")]
    return table([*rows, *scores_of(run.task, outcome), *_common_rows(run, outcome, code_bits, memory)])


@singledispatch
def scores_of(task: Any, outcome: Outcome) -> list[tuple[str, str]]:
    """The rows of the table that tell of a task's scores."""
    raise TypeError(f"nobody knows how to tell of {type(task).__name__}")


@scores_of.register
def _pattern_scores(task: PatternTask, outcome: Outcome) -> list[tuple[str, str]]:
    final, best = outcome.final, outcome.best
    rates = [(key.removeprefix("rate_"), value) for key, value in final.items() if key.startswith("rate_")]
    rows = [("final distance", f"{final['distance']:.2f}  ({final['relative_distance']:.1%} of a silent net's)")]
    if best:
        told = f"{best['distance']:.2f}  ({best['relative_distance']:.1%}), epoch {best['epoch']:.0f}"
        rows.append(("best distance", told))
    return [
        *rows,
        ("silent net's distance", f"{task.silent_distance:.2f}"),
        ("firing rates", f"{', '.join(f'{name} {rate:.2%}' for name, rate in rates)} of all steps"),
    ]


@scores_of.register
def _class_scores(task: ClassTask, outcome: Outcome) -> list[tuple[str, str]]:
    parts = task.facts()["recordings"]
    rows = [("recordings", ", ".join(f"{count} {name}" for name, count in parts.items()))]
    rows += [("last weights", _accuracies(outcome.final))]
    if outcome.best:
        rows.append(("best weights", _accuracies(outcome.best)))
    elif not parts["validation"]:
        rows.append(("best weights", "none: there is no validation part to choose them by (dataset.validation_share)"))
    shown = outcome.best or outcome.final
    rates = ", ".join(f"{value:.1%}" for key, value in shown.items() if key.startswith("rate_"))
    return [*rows, *([("firing rates", f"{rates} of all steps, by layer")] if rates else [])]


def _accuracies(scores: dict[str, Any]) -> str:
    """In test and in validation, as far as they are known."""
    layers = ", ".join(f"{value:.1%}" for key, value in scores.items() if key.startswith("test_accuracy_"))
    by_layer = f" (by layer {layers})" if ", " in layers else ""
    text = f"test {scores['test_accuracy']:.1%}{by_layer}" if layers else "not tested"
    if "validation_accuracy" in scores:
        text += f"; validation {scores['validation_accuracy']:.1%}"
    return text + (f", epoch {scores['epoch']}" if "epoch" in scores else "")
