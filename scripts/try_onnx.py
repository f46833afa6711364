"""Nets as ONNX graphs of one step, in onnxruntime, beside the integer engine. Needs the extra ``onnx``.

    python scripts/try_onnx.py --nets 100 [--first 0]
    python scripts/try_onnx.py --experiments pattern_w2 nmnist_integer [--root <N-MNIST folder>] [--epochs 1]

Random nets are those of scripts/compare_engine.py; experiments are trained for some epochs and exported.
"""

import argparse
import importlib.metadata
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from compare_engine import KINDS, draw
from needs import packages

from qsnn.config.python import run
from qsnn.deploy.onnx_step.write import write_onnx
from qsnn.errors import ConfigError


def random_nets(first: int, count: int, folder: Path) -> bool:
    """Compare them; whether nothing differs in any."""
    from qsnn.deploy.onnx_step.selftest import compared

    tries: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    wrong, begun = 0, time.perf_counter()
    for number in range(first, first + count):
        case = draw(number, "eager", tries)
        write_onnx(case.model, folder / "net", overwrite=True)
        total, differ = compared(folder / "net")
        codes[case.kind] += total
        if differ or not total:
            wrong += 1
            print(f"net {number}, {case.kind}: {differ} of {total} codes differ")
    for kind in KINDS:
        print(f"{kind:<10} {codes[kind]:>11,} codes")
    print(f"{count - wrong:,} of {count:,} random nets agree in all codes; {time.perf_counter() - begun:.0f} s")
    return not wrong


def experiment(name: str, words: argparse.Namespace, folder: Path) -> bool:
    """Train for some epochs, export and check."""
    from qsnn.config.deploying.export import export
    from qsnn.deploy.onnx_step.selftest import compared

    more = [f"dataset.root={words.root}"] if words.root and name.startswith("nmnist") else []
    place = folder / name
    try:
        run(
            [
                f"experiment={name}",
                f"trainer.epochs={words.epochs}",
                f"hydra.run.dir={place}",
                "logging.progress=false",
                *more,
            ]
        )
        export([f"run={place}", "format=onnx"])
    except ConfigError as error:
        print(f"{name}: refused: {error}")
        return True
    total, differ = compared(place / "onnx")
    print(f"{name}: {total:,} codes compared, {differ} mismatches")
    return total > 0 and not differ


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--experiments", nargs="*", default=[])
    parser.add_argument("--root")
    parser.add_argument("--epochs", type=int, default=1)
    words = parser.parse_args()
    packages("onnx", "onnxruntime")
    torch.set_num_threads(1)
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("onnx", "onnxruntime")))
    with tempfile.TemporaryDirectory() as place:
        exact = random_nets(words.first, words.nets, Path(place)) if words.nets else True
        for name in words.experiments:
            exact &= experiment(name, words, Path(place))
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
