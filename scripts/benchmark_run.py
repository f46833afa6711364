"""Time whole runs as a user starts them: first and second start, ten thousand epochs, memory, and the price of logging.

    python scripts/benchmark_run.py start      added seconds of the first start (nothing compiled yet) and of the second
    python scripts/benchmark_run.py default    wall time and peak memory of the default run, 10,000 epochs
    python scripts/benchmark_run.py logging    default logging against none, interleaved runs of 1,000 epochs

Each prints a row of Markdown for docs/performance.md. Runs are processes of their own in a temporary folder.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SILENT = [
    "logging.metrics_every=0", "logging.health_every=0", "logging.raster_every=0", "logging.histogram_every=0",
    "logging.tensorboard=false", "logging.progress=false",
]  # fmt: skip


def run(folder: Path, *overrides: str, **environment: str) -> float:
    """Wall seconds of ``python -m qsnn.train`` with these overrides."""
    words = [sys.executable, "-m", "qsnn.train", "logging.progress=false", *overrides]
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, env={**os.environ, **environment}, check=True, capture_output=True)
    return time.perf_counter() - began


def start(folder: Path) -> None:
    """What compiling adds to a run of one epoch, and what loading the compiled code adds, compared with plain torch."""
    cache, one = str(folder / "cache"), "trainer.epochs=1"
    plain = statistics.median(run(folder, one, "kernels=eager") for _ in range(3))
    first = run(folder, one, NUMBA_CACHE_DIR=cache)
    second = statistics.median(run(folder, one, NUMBA_CACHE_DIR=cache) for _ in range(3))
    print(f"| start of a run of one epoch, plain torch | {plain:.1f} s |")
    print(f"| added by the kernels, first start (compiles) | {first - plain:.1f} s |")
    print(f"| added by the kernels, second start | {second - plain:.1f} s |")


def default(folder: Path) -> None:
    """The default run from start to end."""
    run(folder, "trainer.epochs=1")
    seconds = run(folder)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"| default run, 10,000 epochs, one thread, start to end | {seconds:.1f} s |")
    print(f"| its peak memory | {peak:.0f} MB |")


def logging_price(folder: Path) -> None:
    """The default run's first 1,000 epochs, with its logging and without."""
    short = "trainer.epochs=1000"
    run(folder, "trainer.epochs=1")
    pairs = [(run(folder, short), run(folder, short, *SILENT)) for _ in range(5)]
    price = statistics.median(on - off for on, off in pairs)
    off = statistics.median(off for _, off in pairs)
    print(f"| 1,000 epochs without logging | {off:.2f} s |")
    print(f"| added by the default logging | {price:.2f} s |")


def main() -> int:
    """Measure one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"start": start, "default": default, "logging": logging_price}
    parser.add_argument("what", choices=measures)
    with tempfile.TemporaryDirectory() as folder:
        measures[parser.parse_args().what](Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
