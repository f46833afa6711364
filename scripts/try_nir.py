"""Nets as graphs of NIR, read back and run by norse, beside the integer engine. Needs the extra ``nir``, norse and nirtorch.

    python scripts/try_nir.py --nets 30 [--first 0]
    python scripts/try_nir.py --experiments pattern_w2 nmnist_integer [--root <N-MNIST folder>] [--epochs 1]

Random nets are those of scripts/compare_engine.py; those that NIR cannot say are refused and counted. Of every net two
figures: spikes that differ when its states are rounded as the metadata says, and when they are not, as a reader of NIR that
does not know them has it.
"""

import argparse
import importlib.metadata
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import torch
from compare_engine import draw
from export_trials import exported, parse
from needs import packages

from qsnn.deploy.nir_graph.write import write_nir
from qsnn.errors import ConfigError


def told(name: str, folder: Path) -> bool:
    """A line; whether no spike differs."""
    from qsnn.deploy.nir_graph.selftest import compared

    total, differ, busy = compared(folder)
    _, plain, _ = compared(folder, rounded=False)
    print(f"{name}: {total:,} values compared, {busy:,} not 0; rounded {differ} mismatches, not rounded {plain:,}")
    return total > 0 and not differ


def random_nets(first: int, count: int, folder: Path) -> bool:
    """Compare them; whether nothing differs in any."""
    refused: Counter[str] = Counter()
    exact = True
    for number in range(first, first + count):
        case = draw(number, "eager", Counter())
        try:
            write_nir(case.model, folder / "net", overwrite=True)
        except ConfigError as error:
            refused[str(error.args[0]).partition("layer ")[2].partition(" ")[2][:60]] += 1
            continue
        exact &= told(f"net {number}, {case.kind}", folder / "net")
    for reason, number in refused.most_common():
        print(f"refused: {number} nets, whose first layer {reason} ...")
    return exact


def experiment(name: str, words: argparse.Namespace, folder: Path) -> bool:
    """Train for some epochs, export and check."""
    place = exported(name, "nir", words, folder)
    return place is None or told(name, place)


def main() -> None:
    """See above."""
    words = parse(__doc__)
    packages("nir", "norse", "nirtorch")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("nir", "norse", "nirtorch")))
    with tempfile.TemporaryDirectory() as place:
        exact = random_nets(words.first, words.nets, Path(place)) if words.nets else True
        for name in words.experiments:
            exact &= experiment(name, words, Path(place))
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
