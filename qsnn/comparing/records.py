"""Every run of some folders, with the config that it has, or as much of it as is known of one that never got that far."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from qsnn.comparing.soundness import damaged_part
from qsnn.errors import RunFolderError
from qsnn.training.json_file import read_json
from qsnn.training.runs import Job, find_jobs

FINISHED, UNREADABLE, UNKNOWN = "finished", "unreadable", "?"
CONFIG, COSTS = Path(".hydra", "config.yaml"), "cost.json"
REPLICATE = ("seed", "dataset.fold")
"""Runs that differ in nothing else are one row."""
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with it
FlatConfig = dict[str, Any]


class Record(NamedTuple):
    """A run. ``config``: values by dotted key, lists as tuples; ``settled``: all of it, as the run had it; else only what its
    overrides and `.hydra/config.yaml` say for certain. ``explicit``: the keys that its overrides set. ``below``: the folders,
    of those that were asked for, in or below which it is."""

    folder: Path | None
    status: str
    reason: str
    overrides: tuple[str, ...]
    summary: dict[str, Any]
    config: FlatConfig
    settled: bool
    explicit: frozenset[str]
    below: tuple[Path, ...] = ()

    @property
    def seed(self) -> Any:
        """Of initial weights and rounding."""
        return self.config.get("seed", frozen(self.summary.get("seed")))

    @property
    def fold(self) -> Any:
        """Of a cross-validation; None without one."""
        return self.config.get("dataset.fold")

    @property
    def finished(self) -> bool:
        """Whether it has scores."""
        return self.status == FINISHED

    @property
    def experiment(self) -> str:
        """Its name."""
        return printable(str(self.config.get("name", self.summary.get("experiment", UNKNOWN))))


def read_records(folders: Sequence[Path]) -> list[Record]:
    """Every run in or below ``folders``, each once. Raises RunFolderError for a folder that is not there or holds no run."""
    found: dict[Any, Record] = {}
    for folder in folders:
        for job in _jobs_in(folder):
            place = (folder.resolve(), job.overrides) if job.folder is None else job.folder.resolve()
            record = found[place] if place in found else read_record(job)
            found[place] = record._replace(below=(*record.below, folder))
    return in_one_form(completed(list(found.values())))


def _jobs_in(folder: Path) -> list[Job]:
    name = "name folders of runs or sweeps, such as outputs/multirun/<experiment>/<time>"
    if not folder.is_dir():
        raise RunFolderError(f"{folder} {'is no folder' if folder.exists() else 'is not there'}: {name}")
    jobs = find_jobs(folder)
    if not jobs:
        raise RunFolderError(f"no runs below {folder}: {name}")
    return jobs


def completed(records: list[Record]) -> list[Record]:
    """The same; a run of which only the overrides are known has the config of one with the same, but for seed and fold."""
    known = {_replicate_of(record): record for record in records if record.settled}
    return [
        record
        if record.settled or _replicate_of(record) not in known
        else _as_another(record, known[_replicate_of(record)])
        for record in records
    ]


def in_one_form(records: list[Record]) -> list[Record]:
    """The same; equal numbers of a key have one form, that of a config which is known whole where there is one: ``64`` of an
    override is the ``64.0`` that finished runs have. Rows, ``select=`` and ``reference=`` take values by their form."""
    forms: dict[tuple[str, Any], Any] = {}
    for record in sorted(records, key=lambda record: not record.settled):
        for key, value in _numbers(record.config):
            forms.setdefault((key, value), value)
    return [
        record._replace(config=record.config | {key: forms[key, value] for key, value in _numbers(record.config)})
        for record in records
    ]


def _numbers(config: FlatConfig) -> Iterator[tuple[str, Any]]:
    """No booleans, though these equal 0 and 1."""
    return ((key, value) for key, value in config.items() if type(value) in (int, float))


def _as_another(record: Record, other: Record) -> Record:
    own = {key: value for key, value in _given(record.overrides).items() if key in REPLICATE}
    widths = {"quantization": other.summary["quantization"]} if "quantization" in other.summary else {}
    return record._replace(config=other.config | own, summary=widths | record.summary, settled=True)


def _replicate_of(record: Record) -> frozenset[str]:
    return frozenset(text for text in record.overrides if _override(text)[0] not in REPLICATE)


def _given(overrides: Iterable[str]) -> FlatConfig:
    """The keys that overrides set, with their values; without those that are set twice, as it is not known which came last."""
    pairs = [(key, value) for key, value in map(_override, overrides) if key]
    times = Counter(key for key, _ in pairs)
    return {key: value for key, value in pairs if times[key] == 1}


def read_record(job: Job) -> Record:
    """A run with its config. One that calls itself finished, but whose summary has no scores, is damaged."""
    status, reason, summary = printable(job.status), printable(job.reason()), job.summary
    given = _given(job.overrides)
    if status == FINISHED and not isinstance(summary.get("final"), dict):
        status, reason = UNREADABLE, "its summary.json has no scores"
    elif status == FINISHED and (part := damaged_part(summary)):
        status, reason = UNREADABLE, printable(f"its summary.json is damaged ({part})")
        return _known_in_part(job, status, reason, given)
    if job.folder is not None and "energy" not in summary:
        summary = {**summary, **_costs_of(job.folder, summary)}
    settled = summary.get("config")
    if not isinstance(settled, dict):
        return _known_in_part(job, status, reason, given)
    groups = {
        key: value
        for key, value in given.items()
        if ("." not in key and key not in settled) or key in _sections(settled)
    }
    return Record(job.folder, status, reason, job.overrides, summary, flatten(settled) | groups, True, frozenset(given))


def _known_in_part(job: Job, status: str, reason: str, given: FlatConfig) -> Record:
    """A run whose summary does not tell its config: what its overrides and `.hydra/config.yaml` say for certain."""
    saved = {} if job.folder is None else flatten(_read_yaml(job.folder / CONFIG))
    certain = {key: value for key, value in saved.items() if value not in (None, "auto") and "${" not in str(value)}
    return Record(job.folder, status, reason, job.overrides, job.summary, certain | given, False, frozenset(given))


def _costs_of(folder: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What `qsnn.cost` has written into a run's folder, if the run is still where it was then: the energy, and by which table.

    An empty energy if it is damaged."""
    if not (folder / COSTS).exists() or outdated_cost(folder, summary):
        return {}
    costs = read_json(folder / COSTS)
    return {"energy": costs.get("energy", {}), **({"hardware": costs["hardware"]} if "hardware" in costs else {})}


def outdated_cost(folder: Path, summary: Mapping[str, Any]) -> str:
    """Why cost.json in a folder is not of the run as it is; "" where it is, or there is none."""
    if not (found := read_json(folder / COSTS)):
        return ""
    run, energy, epochs = found.get("run"), found.get("energy"), summary.get("epochs")
    if isinstance(energy, dict) and energy.get("measured", "run") != "run":
        return "is of a config alone, not of this run's spikes"
    if not isinstance(run, dict):  # of versions that did not say so
        return ""
    if (run.get("status"), run.get("epochs")) == (summary.get("status"), epochs):
        return ""
    return f"was made after epoch {ascii(run.get('epochs'))[:20]}, and the run has gone on since, to epoch {ascii(epochs)[:20]}"


def printable(text: str) -> str:
    """On one line, without what a terminal would obey."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(text.split()))


def _sections(config: dict[str, Any]) -> set[str]:
    """Groups of a config: an override of one, as ``quantization=icons``, chooses a file, whose values are in the config."""
    return {key for key, value in config.items() if isinstance(value, dict)}


def flatten(config: Any) -> FlatConfig:
    """Values by dotted key; lists as tuples, so that values can be counted."""
    return dict(_leaves(config, "")) if isinstance(config, dict) else {}


def _leaves(config: dict[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", frozen(value)


def frozen(value: Any) -> Any:
    """Lists as tuples; what is neither a list nor plain, as text."""
    if isinstance(value, list | tuple):
        return tuple(frozen(part) for part in value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _override(text: str) -> tuple[str, Any]:
    """Key and value of ``key=value``; no key of what removes one, or of what is no such word."""
    key, sign, value = text.partition("=")
    return (
        (key.lstrip("+").split("@")[0], frozen(read_value(value))) if sign and not key.startswith("~") else ("", None)
    )


def read_value(text: str) -> Any:
    """A value as Hydra reads it on the command line."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    try:
        return yaml.load(text, Loader=_Loader)  # a safe one
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _read_yaml(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a safe one
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None


def experiments(records: Iterable[Record]) -> list[str]:
    """Names of the experiments that the runs are of, as far as they are known."""
    return [name for name in dict.fromkeys(record.experiment for record in records) if name != UNKNOWN]
