"""Time whole runs as a user starts them: first and second start, ten thousand epochs, memory, and the price of logging.

    python scripts/benchmark_run.py start      added seconds of the first start (nothing compiled yet) and of the second
    python scripts/benchmark_run.py default    wall time and peak memory of the default run, 10,000 epochs
    python scripts/benchmark_run.py logging [key=value ...]    share of a run's time that its logging takes

Each prints a row of Markdown for docs/performance.md. Runs are processes of their own in a temporary folder.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qsnn.config.command_line import compose_config, set_up
from qsnn.config.run import start as start_run
from qsnn.kernels.compile_time import compile_seconds
from qsnn.reporting.reporter import Reporter


def run(folder: Path, *overrides: str, **environment: str) -> float:
    """Wall seconds of ``python -m qsnn.train`` with these overrides."""
    words = [sys.executable, "-m", "qsnn.train", "logging.progress=false", *overrides]
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, env={**os.environ, **environment}, check=True, capture_output=True)
    return time.perf_counter() - began


def start(folder: Path, _: list[str]) -> None:
    """What compiling adds to a run of one epoch, and what loading the compiled code adds, compared with plain torch."""
    cache, one = str(folder / "cache"), "trainer.epochs=1"
    plain = statistics.median(run(folder, one, "kernels=eager") for _ in range(3))
    first = run(folder, one, NUMBA_CACHE_DIR=cache)
    second = statistics.median(run(folder, one, NUMBA_CACHE_DIR=cache) for _ in range(3))
    print(f"| start of a run of one epoch, plain torch | {plain:.1f} s |")
    print(f"| added by the kernels, first start (compiles) | {first - plain:.1f} s |")
    print(f"| added by the kernels, second start | {second - plain:.1f} s |")


def default(folder: Path, _: list[str]) -> None:
    """The default run from start to end."""
    run(folder, "trainer.epochs=1")
    seconds = run(folder)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"| default run, 10,000 epochs, one thread, start to end | {seconds:.1f} s |")
    print(f"| its peak memory | {peak:.0f} MB |")


def logging_share(folder: Path, overrides: list[str]) -> None:
    """Share of a run's training time that is spent in its reporter: metrics, health, rasters, histograms, bar. Compiling and
    validation are not among it."""
    spent = [0.0]

    def timed(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            began, compiled = time.perf_counter(), compile_seconds()
            result = method(*arguments)
            spent[0] += time.perf_counter() - began - (compile_seconds() - compiled)
            return result

        return call

    for name in ("after_batch", "after_epoch", "flush", "finish"):
        setattr(Reporter, name, timed(getattr(Reporter, name)))
    set_up()
    start_run(compose_config(overrides), folder, overrides)
    seconds = json.loads((folder / "summary.json").read_text())["seconds"]
    print(f"| share of its training time that logging takes | {100 * spent[0] / seconds:.1f} % |")


def main() -> int:
    """Measure one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"start": start, "default": default, "logging": logging_share}
    parser.add_argument("what", choices=measures)
    parser.add_argument("overrides", nargs="*", help="of the run whose logging is timed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measures[options.what](Path(folder), options.overrides)
    return 0


if __name__ == "__main__":
    sys.exit(main())
