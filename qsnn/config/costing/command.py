"""From the words of `qsnn.cost` to its tables and its file."""

from pathlib import Path
from typing import NamedTuple

from qsnn.config.building.common import to_config
from qsnn.config.command_line import compose_config, take_path
from qsnn.config.costing.nets import Costing, cost_of_config, cost_of_run
from qsnn.config.costing.storage import storage
from qsnn.config.costing.tables import counts_table, energy_table, icons_table, memory_table
from qsnn.config.search_path import note_search_path
from qsnn.errors import ConfigError
from qsnn.training.json_file import read_json, write_json

FILE = "cost.json"
FLAGS = {"icons": "--icons", "counts": "--counts"}


class Words(NamedTuple):
    """What was asked for; ``overrides``: of the config."""

    run: Path | None
    out: Path | None
    rate: float | None
    icons: bool
    counts: bool
    overrides: list[str]


def cost(arguments: list[str]) -> str:
    """The tables; writes the file. Raises ConfigError, DataError, RunFolderError, OSError."""
    if "storage=true" in arguments:
        return storage([word for word in note_search_path(arguments) if word != "storage=true"])
    words = parse_words(note_search_path(arguments))
    if words.icons:
        _alone(words)
        return icons_table(to_config(compose_config(["experiment=icons_gesture"])).quantization)
    if words.out is not None:
        check_vacant(words.out)
    run, path = words.run, words.out
    if run is not None and words.rate is not None:
        raise ConfigError("rate= assumes spikes, and run= has its own: leave out one of both")
    found = cost_of_config(words.overrides, words.rate) if run is None else cost_of_run(run, words.overrides)
    if path is None and run is not None:
        path = run / FILE
    if path is not None:
        write_json(path, found.plain())
    return _told(found, words.counts, path)


def _told(found: Costing, counts: bool, path: Path | None) -> str:
    parts = [memory_table(found.memory), *([counts_table(found.costs)] if counts else []), energy_table(found)]
    return "\n\n".join([*parts, *([f"  wrote {path}"] if path is not None else [])])


def parse_words(words: list[str]) -> Words:
    """Raises ConfigError."""
    run, words = take_path(words, "run")
    out, words = take_path(words, "out")
    taken = {
        name: [word for word in words if word == flag or word.startswith(f"{name}=")] for name, flag in FLAGS.items()
    }
    rates = [word for word in words if word.startswith("rate=")]
    known = {word for given in (*taken.values(), rates) for word in given}
    overrides = [word for word in words if word not in known]
    flag = next((word for word in overrides if word.startswith("-")), None)
    if flag is not None:
        raise ConfigError(f"{flag} is not a flag: write key=value; `--help` shows more")
    asked = {name: _is_true(name, given) for name, given in taken.items()}
    return Words(run, out, _rate(rates), asked["icons"], asked["counts"], overrides)


def _is_true(name: str, given: list[str]) -> bool:
    value = given[-1].partition("=")[2] if given else "false"
    if value not in ("", "true", "false"):
        raise ConfigError(f"{name}={value} is not possible: allowed are true, false")
    return value != "false"


def _rate(given: list[str]) -> float | None:
    if not given:
        return None
    text = given[-1].partition("=")[2]
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ConfigError(f"rate={text} is not possible: spikes a neuron and step, a number of 0 to 1")
    return rate


def _alone(words: Words) -> None:
    """The published accounting has nothing to choose."""
    if words.overrides or words.run is not None or words.rate is not None or words.out is not None:
        raise ConfigError("icons=true is the accounting of a paper: it takes no other word")


def check_vacant(path: Path) -> None:
    """Raise ConfigError if something else than an earlier answer lies at ``path``."""
    if path.is_dir():
        raise ConfigError(f"out={path} is a folder: name a file in it, such as {path / FILE}")
    if path.exists() and not {"energy", "memory_bits", "counts"} <= read_json(path).keys():
        raise ConfigError(f"out={path} is there already, and no answer of qsnn.cost: choose another name")
