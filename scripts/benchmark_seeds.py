"""What several seeds as one (trainer.vectorize=seed) cost beside one seed, on one core, measured side by side.

``python scripts/benchmark_seeds.py [--seeds 8] [--rounds 5] [--epochs 200 2000] [overrides]``: medians of the whole command, of
training as summary.json counts it (with logging and checkpoints), and of the training steps alone.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.training.run import Run
from qsnn.training.together.stacked import stack_runs

QUICK = ["experiment=quick", "trainer.vectorize=seed", "logging.progress=false"]


def run_command(words: list[str]) -> float:
    """Seconds of ``python -m qsnn.train`` with these words, on one core."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "qsnn.train", *words], check=True, stdout=subprocess.DEVNULL, env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    )  # fmt: skip
    return time.perf_counter() - began


def seconds_of(folder: Path) -> float:
    """Training time by the first summary.json in or below ``folder``."""
    summary = json.loads(min(folder.rglob("summary.json")).read_text(encoding="utf-8"))
    return float(summary["seconds"])


def measure_command(words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds of the command and of its training."""
    return run_command(words), seconds_of(folder)


def steps_of_one(run: Run, count: int) -> float:
    """Seconds for a step of a net alone."""
    began = time.perf_counter()
    for _ in range(count):
        run.learn_batch()
    return (time.perf_counter() - began) / count


def steps_of_all(runs: list[Run], count: int) -> float:
    """Seconds for a step of all nets together."""
    stack = stack_runs(runs)
    assert stack is not None, "these nets are no batch"
    began = time.perf_counter()
    for _ in range(count):
        state, pieces = runs[0].state, runs[0].task.batches_per_epoch
        rates = runs[0].settings.rates_at(state.epoch + 1, state.batch, pieces)
        orders = {number: run.order(keep=False, rates=rates) for number, run in enumerate(runs)}
        for number, lesson in stack.learn(orders).items():
            runs[number].count(orders[number].batch, lesson)
    return (time.perf_counter() - began) / count


def build(words: list[str], seed: int, folder: Path) -> Run:
    """A run that has not begun."""
    config = to_config(compose_config([*words, f"seed={seed}"]))
    return build_run(config, folder)


def measure_steps(words: list[str], seeds: int, rounds: int, folder: Path) -> tuple[list[float], list[float]]:
    """Milliseconds of a step: of one net, of all."""
    one, runs = build(words, 0, folder), [build(words, seed, folder) for seed in range(seeds)]
    tasks: tuple[Callable[[], float], Callable[[], float]] = (
        lambda: steps_of_one(one, 200), lambda: steps_of_all(runs, 200),
    )  # fmt: skip
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds + 1):
        for measured, task in zip(found, tasks, strict=True):
            measured.append(1000 * task())
    return found[0][1:], found[1][1:]  # the first compiles


def line(name: str, one: list[float], all_of_them: list[float], unit: str) -> str:
    """Medians of both, and of the ratios side by side."""
    ratios = [b / a for a, b in zip(one, all_of_them, strict=True)]
    return (
        f"{name:<44} {statistics.median(one):8.2f} {statistics.median(all_of_them):8.2f} {unit:<3} "
        f"{statistics.median(ratios):5.2f} times"
    )


def measure_epochs(words: list[str], seeds: int, rounds: int, epochs: int) -> list[str]:
    """Both ways, one after the other, so often: a line of the command, one of training."""
    found: list[list[tuple[float, float]]] = [[], []]
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            alone, together = Path(folder) / "one", Path(folder) / "together"
            own = [*words, f"trainer.epochs={epochs}"]
            found[0].append(measure_command([*own, f"hydra.run.dir={alone}"], alone))
            sweep = [*own, "-m", f"seed=range({seeds})", f"hydra.sweep.dir={together}"]
            found[1].append(measure_command(sweep, together))
        sys.stderr.write(f"{epochs} epochs, round {number + 1}: {found[0][-1]} {found[1][-1]}\n")
    one, all_of_them = found
    return [
        line(f"{what}, {epochs} epochs", [entry[place] for entry in one], [entry[place] for entry in all_of_them], "s")
        for place, what in enumerate(("whole command", "training, logging, checkpoints"))
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, nargs="*", default=[200, 2000])
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    set_up()
    torch.set_num_threads(1)
    words = [*QUICK, *arguments.overrides]
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        steps = measure_steps(words, arguments.seeds, 2 * arguments.rounds, Path(folder))
    lines = [line("training steps alone", *steps, "ms")]
    for epochs in arguments.epochs:
        lines += measure_epochs(words, arguments.seeds, arguments.rounds, epochs)
    print(f"{'':<44} {'1 seed':>8} {arguments.seeds:>2} seeds")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
