"""From the words of `qsnn.cost` to its tables and its file."""

import errno
from pathlib import Path
from typing import NamedTuple

from qsnn.config.building.common import to_config
from qsnn.config.command_line import compose_config, take_path
from qsnn.config.costing.nets import Costing, cost_of_config, cost_of_run
from qsnn.config.costing.places import FILE, check_folder_of, check_named, check_vacant
from qsnn.config.costing.storage import storage
from qsnn.config.costing.tables import counts_table, energy_table, icons_table, memory_table
from qsnn.config.search_path import note_search_path
from qsnn.errors import ConfigError
from qsnn.training.json_file import write_json

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
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
        check_folder_of("out", words.out)
    run, path = words.run, words.out
    if run is not None and words.rate is not None:
        raise ConfigError("rate= assumes spikes, and run= has its own: leave out one of both")
    found = cost_of_config(words.overrides, words.rate) if run is None else cost_of_run(run, words.overrides)
    if path is None and run is not None:
        path = run / FILE
    if path is not None:
        _write(path, found, words)
    return _told(found, words.counts, path)


def _write(path: Path, found: Costing, words: Words) -> None:
    """Raises ConfigError where the run's folder cannot be written, and OSError."""
    try:
        write_json(path, found.plain())
    except OSError as error:
        if words.out is not None or error.errno not in READ_ONLY:
            raise
        raise ConfigError(f"{path} cannot be written ({error.strerror}): name another file by out=FILE") from error


def _told(found: Costing, counts: bool, path: Path | None) -> str:
    parts = [memory_table(found.memory), *([counts_table(found.costs)] if counts else []), energy_table(found)]
    return "\n\n".join([*parts, *([f"  wrote {path}"] if path is not None else [])])


def parse_words(words: list[str]) -> Words:
    """Raises ConfigError."""
    check_named(words, ("run", "out"))
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
    if len(given) > 1:
        raise ConfigError(f"rate is given {len(given)} times: {' '.join(given)}; one rate at a time")
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
