"""What the scripts that try exports share: their words, and an experiment that is trained and exported."""

import argparse
from pathlib import Path

from qsnn.config.deploying.export import export
from qsnn.config.python import run
from qsnn.errors import ConfigError


def parse(page: str | None) -> argparse.Namespace:
    """The words of the command line. ``page``: the script's docstring."""
    parser = argparse.ArgumentParser(description=page, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", type=int, default=0, help="so many random nets")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--experiments", nargs="*", default=[])
    parser.add_argument("--root", help="N-MNIST folder")
    parser.add_argument("--epochs", type=int, default=1)
    return parser.parse_args()


def exported(name: str, form: str, words: argparse.Namespace, folder: Path) -> Path | None:
    """Train an experiment for some epochs and export it as ``form``; None, and a line, if that is refused."""
    place = folder / name
    more = [f"dataset.root={words.root}"] if words.root and name.startswith("nmnist") else []
    quiet = [f"trainer.epochs={words.epochs}", f"hydra.run.dir={place}", "logging.progress=false"]
    try:
        run([f"experiment={name}", *quiet, *more])
        export([f"run={place}", f"format={form}"])
    except ConfigError as error:
        print(f"{name}: refused: {error}")
        return None
    return place / form
