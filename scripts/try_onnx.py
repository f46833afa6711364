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
from export_trials import exported, parse
from needs import packages

from qsnn.deploy.onnx_step.write import write_onnx


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
    from qsnn.deploy.onnx_step.selftest import compared

    place = exported(name, "onnx", words, folder)
    if place is None:
        return True
    total, differ = compared(place)
    print(f"{name}: {total:,} codes compared, {differ} mismatches")
    return total > 0 and not differ


def main() -> None:
    """See above."""
    words = parse(__doc__)
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
