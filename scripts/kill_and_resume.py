"""Kill a run with SIGKILL at random moments, resume it each time, and compare it with one that was never stopped.

    python scripts/kill_and_resume.py [--kills 10] [--seed 0] [--longest 8] [override ...]

Compares metrics.jsonl byte by byte and every tensor and number of checkpoints/last.pt; exit code 1 if they differ.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

DEFAULT = ["experiment=quick", "trainer.epochs=60000", "trainer.checkpoint_every=500", "logging.progress=false"]


def start(arguments: list[str]) -> "subprocess.Popen[bytes]":
    """A run in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "qsnn.train", *arguments], stdout=subprocess.DEVNULL)


def differences(one: object, other: object, where: str = "") -> list[str]:
    """Where two checkpoints differ, but for the seconds that they took."""
    if isinstance(one, list) and isinstance(other, list):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return [d for key in keys for d in differences(one.get(key), other.get(key), f"{where}.{key}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [where]
    return [] if one == other or where in (".seconds", ".seconds_start", ".config.resume") else [where]


def kill_and_resume(overrides: list[str], folder: Path, moments: Iterator[float]) -> tuple[int, int]:
    """The run in ``folder``, killed after each of ``moments`` seconds from a start and gone on with; kills and exit code."""
    arguments, kills = [*overrides, f"hydra.run.dir={folder}"], 0
    while True:
        process = start(arguments)
        moment = next(moments, None)
        try:
            return kills, process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
        last = folder / "checkpoints" / "last.pt"
        epoch = torch.load(last, weights_only=True)["epoch"] if last.exists() else None
        print(f"kill {kills} after {moment:.1f} s: checkpoint of epoch {epoch}")
        if epoch is not None:
            arguments = [f"resume={folder}"]


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--longest", type=float, default=8.0, help="seconds from a start to the kill at most")
    parser.add_argument("overrides", nargs="*", default=DEFAULT)
    return parser.parse_args()


def main() -> int:
    """Run, kill, resume, compare."""
    options = read_options()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        whole, killed = Path(temporary) / "whole", Path(temporary) / "killed"
        began = time.perf_counter()
        if start([*options.overrides, f"hydra.run.dir={whole}"]).wait() != 0:
            print("the uninterrupted run failed")
            return 1
        seconds = time.perf_counter() - began
        print(f"uninterrupted: {seconds:.1f} s")
        moments = (generator.uniform(1.0, options.longest) for _ in range(options.kills))
        kills, code = kill_and_resume(options.overrides, killed, moments)
        summary = json.loads((killed / "summary.json").read_text())
        same_metrics = (whole / "metrics.jsonl").read_bytes() == (killed / "metrics.jsonl").read_bytes()
        pair = (torch.load(f / "checkpoints" / "last.pt", weights_only=True) for f in (whole, killed))
        different = differences(*pair)
    print(f"{kills} kills, exit code {code}, status {summary['status']}, {summary['epochs']} epochs")
    print(f"metrics.jsonl {'identical' if same_metrics else 'DIFFERENT'}; checkpoint {different or 'identical'}")
    return 0 if same_metrics and not different and code == 0 and kills == options.kills else 1


if __name__ == "__main__":
    sys.exit(main())
