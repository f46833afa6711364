"""Nets as memory files, through lif_layer.v in iverilog, beside the integer engine's golden vectors.

    python scripts/try_verilog.py --nets 40 [--first 0]
    python scripts/try_verilog.py --experiments pattern_w2 nmnist_integer [--root <N-MNIST folder>] [--epochs 1]

Random nets are those of scripts/compare_engine.py; experiments are trained for some epochs and exported. Nets that the
format refuses (those that learned locally) are counted.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from compare_engine import draw
from export_trials import exported, parse
from needs import programs

from qsnn.deploy.verilog import write_mem
from qsnn.errors import ConfigError


def simulated(folder: Path) -> str:
    """What the test bench says. Raises CalledProcessError where it finds a difference."""
    subprocess.run(["iverilog", "-g2012", "-o", "testbench", "testbench.v", "lif_layer.v"], cwd=folder, check=True)
    done = subprocess.run(["vvp", "testbench"], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode or " 0 mismatches" not in done.stdout:
        print(done.stdout)
        done.check_returncode()
    return done.stdout.strip()


def random_nets(first: int, count: int, folder: Path) -> None:
    """Compare them."""
    agree: Counter[str] = Counter()
    codes, begun = 0, time.perf_counter()
    for number in range(first, first + count):
        case = draw(number, "eager", Counter())
        try:
            write_mem(case.model, folder / f"net{number}")
        except ConfigError:
            agree["refused"] += 1
            continue
        codes += int(simulated(folder / f"net{number}").split()[0])
        agree[case.kind] += 1
    print(f"agree in all {codes:,} codes: {dict(agree)}; {time.perf_counter() - begun:.0f} s")


def experiment(name: str, words: argparse.Namespace, folder: Path) -> None:
    """Train for some epochs, export and check."""
    place = exported(name, "mem", words, folder)
    if place is not None:
        begun = time.perf_counter()
        print(f"{name}: {simulated(place)}; {time.perf_counter() - begun:.0f} s")


def main() -> None:
    """See above."""
    words = parse(__doc__)
    programs("iverilog", "vvp")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        try:
            if words.nets:
                random_nets(words.first, words.nets, Path(place))
            for name in words.experiments:
                experiment(name, words, Path(place))
        except subprocess.CalledProcessError as error:
            sys.exit(f"mismatches: {error}")


if __name__ == "__main__":
    main()
