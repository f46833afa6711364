"""What a job of a sweep costs beside its training, and what a sweep costs to start.

    python scripts/benchmark_sweep.py --jobs 20 --launchers basic processes

A sweep of one job and one of ``--jobs`` are started in turn, ``--repeats`` times. Of a job is told: (the difference of both,
less the ``seconds`` and ``seconds_start`` that the summaries say were training and compiling) / (jobs - 1), the median of the
repetitions, in seconds on the clock, and of the processor, which has the training of two epochs in it and means something on
a machine that is not idle; of the start: the sweep of one job, less its training.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """Seconds on the clock, without training, and of the processor, with it."""

    clock: float
    processor: float


def sweep(launcher: str, jobs: int, words: list[str], place: Path) -> Cost:
    """One sweep in a folder of its own."""
    folder = Path(tempfile.mkdtemp(dir=place))
    seeds = f"seed={','.join(map(str, range(jobs)))}"
    command = [
        sys.executable, "-m", "qsnn.train", "-m", "experiment=quick", "logging.progress=false", "trainer.epochs=2", seeds,
        f"hydra/launcher={launcher}", f"hydra.sweep.dir={folder}/sweep", *words,
    ]  # fmt: skip
    began, before = time.perf_counter(), os.times()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    clock, after = time.perf_counter() - began, os.times()
    used = sum(after[2:4]) - sum(before[2:4])
    summaries = [json.loads(path.read_text()) for path in folder.glob("sweep/*/summary.json")]
    trained = sum(summary["seconds"] + summary["seconds_start"] for summary in summaries)
    return Cost(clock - trained, used)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--launchers", nargs="+", default=["basic"])
    parser.add_argument("--words", nargs="*", default=[], help="more overrides, such as logging.to=[]")
    arguments = parser.parse_args()
    print("| launcher | a job beside its training | of the processor | the start of a sweep |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for launcher in arguments.launchers:
            one, many = [], []
            for _ in range(arguments.repeats):
                one.append(sweep(launcher, 1, arguments.words, Path(place)))
                many.append(sweep(launcher, arguments.jobs, arguments.words, Path(place)))
            each = [
                statistics.median((b[kind] - a[kind]) / (arguments.jobs - 1) for a, b in zip(one, many, strict=True))
                for kind in (0, 1)
            ]
            start = statistics.median(cost.clock for cost in one)
            print(f"| {launcher} | {each[0]:.3f} s | {each[1]:.3f} s | {start:.1f} s |", flush=True)


if __name__ == "__main__":
    main()
