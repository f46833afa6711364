"""Nets in C beside the integer engine: random ones, and shipped experiments, compiled with every warning an error and with the
sanitizer for undefined behaviour, run on their golden vectors.

    python scripts/compare_c.py --nets 100 [--first 0] [--cc gcc clang]
    python scripts/compare_c.py --experiments pattern_w2 nmnist_integer [--root <N-MNIST folder>] [--recordings 20]

Random nets are those of scripts/compare_engine.py. Of an experiment that learns from recordings the C program that reads them
is run on test recordings too, and its predictions after each step are compared with the engine's.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from compare_engine import draw
from needs import programs

from qsnn.config.deploying.request import MACHINE, Words
from qsnn.config.deploying.saved import exported
from qsnn.config.python import run
from qsnn.data.formats.nmnist import read_nmnist
from qsnn.data.recording import Events
from qsnn.deploy.c import files_of
from qsnn.deploy.decision import tied
from qsnn.deploy.engine import IntegerEngine
from qsnn.deploy.model import Model
from qsnn.deploy.recordings import listen, one_by_one
from qsnn.errors import ConfigError

STRICT = [
    "-std=c99",
    "-O1",
    "-Wall",
    "-Wextra",
    "-pedantic",
    "-Werror",
    "-fsanitize=undefined",
    "-fno-sanitize-recover=all",
]


def built(folder: Path, compiler: str, sources: list[str], program: str) -> Path:
    """Compile. Raises CalledProcessError, its output shown."""
    command = [compiler, *STRICT, *sources, "-o", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr[:4000])
        done.check_returncode()
    return folder / program


def checked(model: Model, folder: Path, compilers: list[str], quiet: bool = False) -> bool:
    """Export, compile and run the check; whether nothing differs."""
    folder.mkdir(exist_ok=True)
    for name, content in files_of(model).items():
        (folder / name).write_bytes(content)
    (header,) = folder.glob("*.h")
    exact = True
    for compiler in compilers:
        program = built(folder, compiler, [f"{header.stem}.c", "selftest.c"], f"selftest_{compiler}")
        done = subprocess.run([program], capture_output=True, text=True, check=False)
        exact &= done.returncode == 0 and " 0 mismatches" in done.stdout
        if not quiet or done.returncode:
            print(f"{compiler}: {done.stdout}{done.stderr}".strip())
    return exact


def random_nets(first: int, count: int, compilers: list[str]) -> bool:
    """Compare them; whether nothing differs in any."""
    tries: Counter[str] = Counter()
    wrong, begun = 0, time.perf_counter()
    for number in range(first, first + count):
        with tempfile.TemporaryDirectory() as folder:
            case = draw(number, "eager", tries)
            if not checked(case.model, Path(folder), compilers, quiet=True):
                print(f"net {number}, {case.kind}: see above")
                wrong += 1
    took = time.perf_counter() - begun
    print(f"{count - wrong:,} of {count:,} random nets agree, {' and '.join(compilers)}; {took:.0f} s")
    return not wrong


def recordings_agree(model: Model, folder: Path, compiler: str, root: Path, count: int) -> bool:
    """The program that reads recordings, beside the engine that listens to them."""
    (header,) = folder.glob("*.h")
    program = built(folder, compiler, [f"{header.stem}.c", "events.c"], "events")
    files = sorted((root / "Test").rglob("*.bin"))
    agree = steps = right = 0
    chosen = [files[n] for n in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    for path in chosen:
        events: Events = read_nmnist(path)
        states = listen(IntegerEngine(model), one_by_one(events))
        expected = [
            model.decision.classes[int(state.votes.argmax(1)[0])] + " (tie)" * bool(tied(state.votes)[0])
            for state in states
        ]
        done = subprocess.run([program, "-v", path], capture_output=True, text=True, check=True)
        said = [line.partition(" us: ")[2] for line in done.stdout.splitlines()[:-1]]
        agree += said == expected and done.stdout.splitlines()[-1] == expected[-1]
        steps, right = steps + len(expected), right + (expected[-1].removesuffix(" (tie)") == path.parent.name)
    print(
        f"recordings: {agree} of {len(chosen)} with the engine's prediction after each of {steps} steps; {right} right"
    )
    return agree == len(chosen) > 0


def experiment(name: str, words: argparse.Namespace, folder: Path) -> bool:
    """Train for some epochs, export and check."""
    nmnist = words.root and name.startswith("nmnist")
    more = [f"dataset.root={words.root}"] if nmnist else []
    out = f"hydra.run.dir={folder / name}"
    try:
        run([f"experiment={name}", f"trainer.epochs={words.epochs}", out, "logging.progress=false", *more])
        model = exported(Words("export", [f"run={folder / name}"], ("run", "weights"), MACHINE)).model
    except ConfigError as error:
        print(f"{name}: refused: {error}")
        return True
    print(f"{name}:")
    exact = checked(model, folder / f"{name}_c", words.cc)
    if nmnist:
        exact &= recordings_agree(model, folder / f"{name}_c", words.cc[0], Path(words.root), words.recordings)
    return exact


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cc", nargs="+", default=["gcc"])
    parser.add_argument("--experiments", nargs="*", default=[])
    parser.add_argument("--root")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--recordings", type=int, default=20)
    words = parser.parse_args()
    programs(*words.cc)
    torch.set_num_threads(1)
    exact = random_nets(words.first, words.nets, words.cc) if words.nets else True
    with tempfile.TemporaryDirectory() as folder:
        for name in words.experiments:
            exact &= experiment(name, words, Path(folder))
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
