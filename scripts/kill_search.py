"""Kill a search with SIGKILL at random moments, start it again each time, in the end twice at once, and compare what it found
with a search that was never stopped.

    python scripts/kill_search.py [--kills 3] [--seed 0] [--longest 12] [word of qsnn.search ...]

Every trial must be there once, with the same error and bits; exit code 1 if not. The sampler is the grid, whose choices do not
depend on what happened before.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

DEFAULT = [
    "experiment=quick", "trainer.epochs=3000", "trainer.checkpoint_every=200", "logging=search", "search.within=0.1",
    "search.over={weight_bits: [1,2,4,8], state_bits: [4,6,8]}",
]  # fmt: skip
TREE = Path(__file__).resolve().parents[1]


def start(words: list[str], name: str, folder: Path) -> "subprocess.Popen[bytes]":
    """A search of that name in a process of its own."""
    path = os.pathsep.join([str(TREE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "qsnn.search", *words, "search.sampler=grid", f"search.name={name}"]
    log = (folder / f"{name}.log").open("a")
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path})


def outcome(folder: Path, name: str) -> dict[str, object]:
    """What each setting reached, and full precision."""
    content = json.loads((folder / "outputs" / "search" / name / "search.json").read_text())
    found = {str(trial["settings"]): (trial["status"], trial["reached"]) for trial in content["trials"]}
    return {**found, "full precision": content["reference"], "number": len(content["trials"])}


def runs_told(folder: Path, name: str) -> Counter[str]:
    """How often each trial was told as done, over all processes."""
    lines = (folder / f"{name}.log").read_text().splitlines()
    return Counter(line.split(": error")[0] for line in lines if line.startswith("trial "))


def kill_and_resume(words: list[str], folder: Path, kills: int, longest: float, generator: random.Random) -> None:
    """A search that dies so many times, and then ends."""
    for number in range(kills):
        process, moment = start(words, "killed", folder), generator.uniform(3.0, longest)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        print(f"kill {number + 1} after {moment:.1f} s: exit code {process.wait()}", flush=True)
    pair = [start(words, "killed", folder) for _ in range(2)]
    print(f"two at once to the end: exit codes {[process.wait() for process in pair]}", flush=True)


def main() -> int:
    """Search, kill, go on, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--longest", type=float, default=12.0, help="seconds from a start to the kill at most")
    parser.add_argument("words", nargs="*", default=DEFAULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, began = Path(temporary), time.perf_counter()
        if start(options.words, "whole", folder).wait() != 0:
            print((folder / "whole.log").read_text())
            return 1
        print(f"uninterrupted: {time.perf_counter() - began:.1f} s", flush=True)
        kill_and_resume(options.words, folder, options.kills, options.longest, random.Random(options.seed))
        whole, killed = outcome(folder, "whole"), outcome(folder, "killed")
        twice = [trial for trial, count in runs_told(folder, "killed").items() if count > 1]
        different = [key for key in {**whole, **killed} if whole.get(key) != killed.get(key)]
        if different or twice:
            print((folder / "killed.log").read_text())
    print(f"{whole['number']} trials; different: {different or 'none'}; done twice: {twice or 'none'}")
    return 1 if different or twice else 0


if __name__ == "__main__":
    sys.exit(main())
