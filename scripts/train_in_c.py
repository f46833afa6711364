"""Repeat a whole run by the C program that it was exported to, and compare.

    python scripts/train_in_c.py RUN [--epochs N] [--beside] [--cc gcc] [dataset.root=... ...]

Writes the run's training as C, compiles it, feeds it the batches of the run's own data, and compares the codes that it ends
with with those of last.pt, if all of its epochs were repeated. With --beside the run is trained again too, and the digests of
all stored codes are compared after every update.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from needs import programs

from qsnn.config.command_line import set_up
from qsnn.config.deploying.request import DATA, MACHINE, Words
from qsnn.config.deploying.saved import exported
from qsnn.config.deploying.training import learning
from qsnn.config.resume import restore
from qsnn.deploy.training.c import write_learning
from qsnn.deploy.training.c.digests import digest
from qsnn.deploy.training.recipe import Recipe
from qsnn.deploy.training.replay import batch_of, codes_of
from qsnn.errors import QsnnError
from qsnn.training.run import Run

FLAGS = ("-std=c99", "-O3", "-Wall", "-Wextra", "-Werror")


def compiled(folder: Path, cc: str) -> Path:
    """The program, after the check of itself."""
    (source,) = folder.glob("*_learning.c")
    for name in ("selftest", "learn"):
        subprocess.run([cc, *FLAGS, str(source), str(folder / f"{name}.c"), "-o", str(folder / name)], check=True)
    print(subprocess.run([folder / "selftest"], check=True, capture_output=True, text=True).stdout, end="")
    return folder / "learn"


def updates(program: Path, codes: Path, run: Run, recipe: Recipe, epochs: int) -> Iterator[tuple[Any, list[int]]]:
    """Of every update the batch and the program's digests."""
    pattern = recipe.pattern is not None
    words = [str(program), *([str(epochs * recipe.extent.batches)] if pattern else []), str(codes)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for epoch in range(1, epochs + 1):
            for batch in run.task.batches(epoch, 0):
                if not pattern:
                    inputs, labels = batch_of(batch)
                    process.stdin.write(bytes([len(labels)]) + labels.astype(np.int8).tobytes() + inputs.tobytes())
                    process.stdin.flush()
                yield batch, [int(word, 16) for word in process.stdout.readline().split()[1:]]
        process.stdin.close()
        if process.wait():
            raise SystemExit("the program failed")


def repeated(program: Path, codes: Path, run: Run, recipe: Recipe, epochs: int, beside: bool) -> int:
    """Let the program learn, and the run beside it; how many digests differ."""
    compared = differ = 0
    begin = time.perf_counter()
    for number, (batch, digests) in enumerate(updates(program, codes, run, recipe, epochs), 1):
        if not beside:
            continue
        order = run.order(False, batch)
        run.count(order.batch, run.learner.learn(run.state, *order))
        run.state.sums = run.state.sums if run.state.batch else {}
        for (name, tensor), found in zip(run.state.model.trained_tensors().items(), digests, strict=True):
            compared += 1
            if digest(codes_of(recipe.stored[name], tensor)) != found:
                differ += 1
                print(f"{name} differs after update {number}")
    print(f"{epochs} epochs, {epochs * recipe.extent.batches} updates in {time.perf_counter() - begin:.1f} s")
    if beside:
        print(f"after every update: {compared - differ} of {compared} digests of all codes of a tensor agree")
    return differ


def with_checkpoint(run: Run, folder: Path, recipe: Recipe, codes: Path, epochs: int) -> int:
    """Compare the program's codes with last.pt; how many differ."""
    restore(run, folder)
    if (run.state.epoch, run.state.batch) != (epochs, 0):
        print(f"last.pt is of epoch {run.state.epoch}: not compared")
        return 0
    expected = [codes_of(recipe.stored[n], t).ravel() for n, t in run.state.model.trained_tensors().items()]
    found, whole = np.fromfile(codes, "<i4"), np.concatenate(expected)
    print(f"last.pt of epoch {epochs}: {int((found == whole).sum()):,} of {whole.size:,} codes agree")
    return int((found != whole).sum())


@torch.no_grad()
def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, help="of the run, all unless given")
    parser.add_argument("--beside", action="store_true", help="train beside it and compare after every update")
    parser.add_argument("--cc", default="gcc")
    given, overrides = parser.parse_known_args()
    programs(given.cc)
    set_up()
    words = Words("train_in_c", [f"run={given.run}", *overrides], ("run",), (*MACHINE, *DATA))
    try:
        run, model, recipe = learning(exported(words), given.run)
    except QsnnError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    epochs = recipe.extent.epochs if given.epochs is None else min(given.epochs, recipe.extent.epochs)
    with tempfile.TemporaryDirectory(prefix="qsnn-c-") as folder:
        write_learning(model, recipe, Path(folder) / "c")
        program, codes = compiled(Path(folder) / "c", given.cc), Path(folder) / "codes"
        differ = repeated(program, codes, run, recipe, epochs, given.beside)
        differ += with_checkpoint(run, given.run, recipe, codes, epochs)
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
