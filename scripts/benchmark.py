"""Time one training step of the paper's run (iscas_pattern): backends, a plain autograd loop, dense products, other libraries.

    python scripts/benchmark.py [--batches 1 16 64] [--threads 2] [--seconds 20]
    python scripts/benchmark.py --peers FILE --libs NAME ... [--python NAME=INTERPRETER ...] [--batches ...]
    python scripts/benchmark.py --growth        T, N and B of the numba backend doubled one at a time
    python scripts/benchmark.py --profile       share of each operation in an epoch
    python scripts/benchmark.py --write         tables of all results so far to docs/performance.md, and a picture

Repetitions are interleaved, so that what disturbs the machine disturbs all. Each begins with a step that is not timed and
lasts 30 ms at least: in training too a step follows one of its own kind, finds its data in the cache and no threads of
others that still spin, as OpenMP's do for milliseconds. Medians. The autograd loop computes the same
quantized arithmetic with a graph per time step, as one would write it without a hand-written backward pass.

``--peers`` names a script that times other libraries: called as ``FILE --lib NAME --batch B --threads N --json`` it must
print a line of JSON with the median milliseconds of a step, ``ms``, and ``version``. Each library runs in a process of its
own, with the interpreter given for it, in the same run as the numba backend and the dense products. A comparison can be
made in several such runs: every row is kept with what ours and the dense products took in its run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from benchmark_baselines import Step, autograd_step, dense_products, pattern_task
from benchmark_report import DENSE, OURS, write_report

from qsnn.config.building.run import build_machine, to_config
from qsnn.config.command_line import compose_config, set_up
from qsnn.data.sources.pattern import Pattern
from qsnn.training.run import Run

SHORTEST = 0.03  # seconds of a repetition
Results = dict[str, list[dict[str, Any]]]


def make_run(kernels: str, batch: int, overrides: list[str]) -> Run:
    """The paper's run with ``batch`` different patterns; ``experiment=...`` among the overrides chooses another."""
    words = [] if any(word.startswith("experiment=") for word in overrides) else ["experiment=iscas_pattern"]
    config = to_config(compose_config([*words, f"kernels={kernels}", "trainer.epochs=1000000", *overrides]))
    run: Run = config.trainer.build_run(config, build_machine(config), Path(), {})
    patterns = [replace(config.dataset, seed=seed).load() for seed in range(batch)]
    pattern_task(run).pattern = Pattern(*(torch.cat(part, dim=1) for part in zip(*patterns, strict=True)))
    return run


def train(run: Run) -> Step:
    """One epoch of ``run``."""
    return lambda: run.learn_batch()


def seconds_of(step: Step, count: int) -> float:
    """Of one call, mean over ``count``."""
    began = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - began) / count


def medians(steps: dict[str, Step], seconds: float) -> dict[str, float]:
    """Milliseconds of each step: median over interleaved repetitions, as many as fit, five at least."""
    counts = {}
    for name, step in steps.items():
        step()
        counts[name] = 1 + int(SHORTEST / min(seconds_of(step, 1), seconds_of(step, 3)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < 5:
        for name, step in steps.items():
            step()  # not timed: waits for the threads that the one before left spinning, and fetches its own data
            times[name].append(1000 * seconds_of(step, counts[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def compare(batch: int, seconds: float, threads: int, slow_ones: bool) -> dict[str, float]:
    """Milliseconds of the numba backend and the dense products; of plain torch and the autograd loop too, if wanted."""
    run = make_run("numba", batch, [f"threads={threads}"])
    steps = {OURS: train(run), DENSE: dense_products(run)}
    if slow_ones:
        eager = make_run("eager", batch, [f"threads={threads}"])
        steps |= {"qsnn, eager": train(eager), "autograd loop": autograd_step(eager)}
    return medians(steps, seconds)


def time_peer(script: Path, name: str, python: str, batch: int, threads: int) -> dict[str, Any]:
    """What the script of peers prints about library ``name``; an ``error`` if it does not work."""
    words = [python, str(script), "--lib", name, "--batch", str(batch), "--threads", str(threads), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(lines[-1])


def side_by_side(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each batch size and contestant."""
    pythons = dict(entry.split("=", 1) for entry in options.python)
    rows = []
    for batch in options.batches:
        times: dict[str, Any] = dict(compare(batch, options.seconds, options.threads, not options.peers))
        for name in options.libs if options.peers else []:
            found = time_peer(options.peers, name, pythons.get(name, sys.executable), batch, options.threads)
            times[f"{name} {found.get('version', '')}".strip()] = found.get("ms", found.get("error"))
        for name, value in times.items():
            row = {"batch": batch, "threads": options.threads, "what": name, "ms": value}
            rows.append({**row, "ours": times[OURS], "dense": times[DENSE]})
            print(rows[-1], flush=True)
    return rows


def growth(seconds: float, threads: int) -> list[dict[str, Any]]:
    """One row for each size that is doubled: milliseconds, and those of what it is compared with."""
    wide = ["dataset.num_inputs=1400", "model.hidden=[800]", "dataset.num_outputs=500"]
    sizes: dict[str, tuple[int, list[str], str]] = {
        "default": (1, [], "default"),
        "T 250 to 500": (1, ["dataset.num_steps=500"], "default"),
        "N doubled, 4 times the synapses": (1, wide, "default"),
        "B 1 to 2": (2, [], "default"),
        "B 16": (16, [], "default"),
        "B 16 to 32": (32, [], "B 16"),
    }
    runs = {name: make_run("numba", batch, [*more, f"threads={threads}"]) for name, (batch, more, _) in sizes.items()}
    result = medians({name: train(run) for name, run in runs.items()}, seconds)
    return [
        {"size": name, "threads": threads, "ms": result[name], "before": result[sizes[name][2]], "than": sizes[name][2]}
        for name in sizes
    ]


def profile(batch: int, seconds: float, threads: int) -> list[dict[str, Any]]:
    """One row for each operation of the numba backend: microseconds in an epoch, and what is left around them."""
    run, spent = make_run("numba", batch, [f"threads={threads}"]), dict[str, list[float]]()

    def timed(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began = time.perf_counter()
            result = operation(*arguments)
            spent[name][-1] += 1e6 * (time.perf_counter() - began)
            return result

        return call

    loss = pattern_task(run).loss
    backend = loss.backend
    operations: dict[str, Any] = {
        name: timed(name, getattr(backend, name)) for name in backend._fields if name != "name"
    }
    for module in (loss, *run.state.model.modules()):
        if hasattr(module, "backend"):
            module.backend = backend._replace(**operations)
    epochs, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name in operations:
            spent.setdefault(name, []).append(0.0)
        epochs.append(1e6 * seconds_of(train(run), 1))
    whole = statistics.median(epochs)
    parts = {name: statistics.median(values) for name, values in spent.items() if any(values)}
    parts["Python around them"] = whole - sum(parts.values())
    return [
        {"part": name, "batch": batch, "threads": threads, "us": us, "share": us / whole} for name, us in parts.items()
    ]


def keep(path: Path, kind: str, rows: list[dict[str, Any]]) -> Results:
    """Add rows to the results file, in the place of older ones of the same thing."""

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row.get(part) for part in ("batch", "threads", "what", "size", "part"))

    results: Results = json.loads(path.read_text()) if path.exists() else {}
    fresh = {key(row) for row in rows}
    older = [row for row in results.get(kind, []) if key(row) not in fresh]
    results[kind] = older + rows
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
    return results


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring a batch size, peers not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", type=Path, help="a script that times other libraries")
    parser.add_argument("--libs", nargs="+", default=[], help="which of them")
    parser.add_argument("--python", nargs="+", default=[], metavar="NAME=INTERPRETER", help="where one is installed")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--results", type=Path, default=Path("outputs/benchmark.json"))
    return parser.parse_args()


def main() -> int:
    """Measure what is asked for, keep it, and write the report if asked to."""
    options = parse()
    set_up()
    if options.write:
        write_report(json.loads(options.results.read_text()), Path("docs/performance.md"), Path("docs/benchmark.png"))
    elif options.growth:
        keep(options.results, "growth", growth(options.seconds, options.threads))
    elif options.profile:
        for batch in options.batches:
            keep(options.results, "profile", profile(batch, options.seconds, options.threads))
    else:
        keep(options.results, "steps", side_by_side(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
