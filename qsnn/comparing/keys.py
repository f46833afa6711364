"""What varies among runs: the keys whose values make rows, and the words ``by=`` and ``select=`` in which a user names them."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from qsnn.comparing.records import REPLICATE, Record, frozen, printable, read_value
from qsnn.errors import ConfigError

MACHINE = (
    "device", "kernels", "threads", "resume", "start_from", "name", "experiment", "dataset.root", "dataset.cache",
    "dataset.num_workers", "logging", "hydra", "sweep", "search", "hardware", "trainer.checkpoint_every",
)  # fmt: skip
"""Keys that say where and how a run is made rather than what it is; a row never depends on them unless ``by=`` says so."""
PRECISION = "quantization"
"""As a key: in words, which quantities, if any, are in full precision."""
HARDWARE = "hardware"
"""The table that prices energy: it makes rows where overrides set it, though nothing that is learned follows from it."""
ABSENT = "-"


def is_of(key: str, sections: Iterable[str]) -> bool:
    """Whether a key is one of ``sections``, or below one."""
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def value_of(record: Record, key: str) -> Any:
    """What a run's config has under ``key``; `ABSENT` where it has no such key."""
    if key == PRECISION and key not in record.explicit:
        return precision(record)
    return record.config.get(key, ABSENT)


def precision(record: Record) -> str:
    """In words: which quantities, if any, are in full precision."""
    used = record.summary.get("quantization")
    if not isinstance(used, dict):
        prefix = f"{PRECISION}."
        used = {key.removeprefix(prefix): bits for key, bits in record.config.items() if key.startswith(prefix)}
    widths = {name: bits for name, bits in used.items() if name.endswith("_bits") and name != "rng_bits"}
    if not widths:
        return ABSENT
    floats = [name.removesuffix("_bits") for name, bits in widths.items() if bits is None]
    if len(floats) in (0, len(widths)):
        return "full precision" if floats else "quantized"
    return f"quantized, but {', '.join(floats)} in full precision"


def name_of(value: Any) -> str:
    """A value as the config writes it, on one line."""
    if isinstance(value, tuple):
        return f"[{','.join(map(name_of, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else printable(str(value))


def order_of(value: Any) -> Any:
    """To be sorted by: numbers, lists by their parts, words, null."""
    if isinstance(value, (bool, str)):
        return (2, str(value))
    if isinstance(value, tuple):
        return (1, tuple(order_of(part) for part in value))
    return (3, "") if value is None else (0, value)


def varied_keys(records: Sequence[Record]) -> list[str]:
    """The keys that part the runs into rows: the experiment's name where experiments have different tasks, those that a sweep
    set, then others; last the table that prices energy, if overrides set it. A key that says nothing beyond those before it is
    left out."""
    settled = [record for record in records if record.settled] or list(records)
    given = list(dict.fromkeys(key for record in records for key in sorted(record.explicit)))
    others = list(dict.fromkeys(key for record in settled for key in record.config))
    chosen: list[str] = []
    parts: list[tuple[Any, ...]] = [()] * len(settled)
    first = ["name"] if several_tasks(settled) else []
    tables = _table_keys(given, others)
    ordered = [key for key in (*first, *given, *others) if key not in tables]
    for key in dict.fromkeys([*ordered, *tables, "name"]):
        values = [value_of(record, key) for record in settled]
        unseen = {value_of(record, key) for record in records if key in record.explicit} - set(values)
        if len(set(values)) == 1 and not unseen:
            continue
        ruled_out = is_of(key, (*REPLICATE, *MACHINE)) or _follows_seed(settled, key)
        if key not in ("name", *tables) and ruled_out:
            continue
        if "." not in key and any(key not in record.config for record in settled):
            continue  # a group that some runs have by default
        finer = [(*part, value) for part, value in zip(parts, values, strict=True)]
        if len(set(finer)) > len(set(parts)) or unseen:
            chosen, parts = [*chosen, key], finer
    return chosen


def _table_keys(given: Sequence[str], others: Sequence[str]) -> list[str]:
    """Those of the table that prices energy, the ones that overrides set first; none if they set none."""
    chosen = [key for key in given if is_of(key, [HARDWARE])]
    figures = [key for key in others if is_of(key, [HARDWARE])] if chosen else []
    return list(dict.fromkeys([*chosen, *(key for key in ["hardware.name"] if key in figures), *figures]))


def is_width(key: str) -> bool:
    """Whether a key is a bit width of the net, rather than of the table that prices it."""
    return key.endswith("_bits") and not is_of(key, [HARDWARE])


def task_of(record: Record) -> frozenset[Any]:
    """What is to be learned: the data set's keys but those of place, seed and fold."""
    kept = (key for key in record.config if is_of(key, ["dataset"]) and not is_of(key, (*MACHINE, *REPLICATE)))
    return frozenset((key, name_of(record.config[key])) for key in kept if not key.endswith(".seed"))


def several_tasks(records: Iterable[Record]) -> bool:
    """Whether these are runs of experiments with different data sets, which no difference of theirs can be put down to."""
    tasks: dict[str, set[frozenset[Any]]] = {}
    known = list(records)
    if len({record.experiment for record in known}) < 2:
        return False
    for record in known:
        tasks.setdefault(record.experiment, set()).add(task_of(record))
    return len({frozenset(of) for of in tasks.values()}) > 1


def _follows_seed(records: Sequence[Record], key: str) -> bool:
    """Whether a second seed, such as the data set's, was changed together with the first."""
    pairs = {(record.seed, record.config.get(key)) for record in records}
    seeds = {seed for seed, _ in pairs}
    return key.endswith(".seed") and len(seeds) > 1 and len(pairs) == len(seeds) and len({b for _, b in pairs}) > 1


def find_key(word: str, name: str, records: Sequence[Record]) -> str:
    """The key that ``name``, of the option ``word``, names: whole, or by its end if no other ends so. Raises ConfigError."""
    known = dict.fromkeys(key for record in records for key in record.config)
    if name in known or (name == PRECISION and any(is_of(key, [PRECISION]) for key in known)):
        return name
    ends = [key for key in known if key.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ConfigError(f"{word}={name} is not clear: {', '.join(sorted(ends))}")
    near = difflib.get_close_matches(name, [*known, *(key.rpartition(".")[2] for key in known)], 3)
    example = ", ".join(varied_keys(records)[:3]) or "quantization.weight_bits"
    raise ConfigError(
        f"{word}={name} is no key of these runs; {'near are ' + ', '.join(near) if near else f'such as {example}'}"
    )


def find_keys(word: str, text: str, records: Sequence[Record]) -> list[str]:
    """`find_key` of each name between commas."""
    return [find_key(word, name, records) for name in split_list(text)]


def split_list(text: str) -> list[str]:
    """The parts between commas that stand in no brackets."""
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text) if part.strip()]


def find_values(word: str, text: str, records: Sequence[Record]) -> dict[str, list[Any]]:
    """``key:value[,key:value]``: the values that are asked for, by key. Raises ConfigError for a key, or a value, that no run
    has."""
    found: dict[str, list[Any]] = {}
    for part in split_list(text):
        name, sign, value = part.partition(":")
        if not sign:
            raise ConfigError(f"{word}={part} is no pair key:value, such as {word}=quantization.weight_bits:8")
        key, wanted = find_key(word, name.strip(), records), frozen(read_value(value.strip()))
        values = _values_by_name(records, key)
        same = [one for said, one in values.items() if said == name_of(wanted) or _same_number(one, wanted)]
        if not same:
            raise ConfigError(f"{word}={part}: no run has {key}={value.strip()}; there are {_listed(values)}")
        found.setdefault(key, []).append(same[0])
    return found


def _values_by_name(records: Sequence[Record], key: str) -> dict[str, Any]:
    return {name_of(value): value for value in (value_of(record, key) for record in records)}


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(map(name_of, sorted(values.values(), key=order_of)[:8]))


def _same_number(one: Any, other: Any) -> bool:
    """Whether both are numbers, and equal: 64 is 64.0."""
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (one, other))
    return numbers and one == other


def select(text: str, records: Sequence[Record]) -> list[Record]:
    """The runs whose config has, under each key of ``select=``, one of the values that it names. Raises ConfigError where no
    run has them all, with the values that there are."""
    chosen, before = list(records), ""
    for key, values in find_values("select", text, records).items():
        names = {name_of(value) for value in values}
        left = [record for record in chosen if name_of(value_of(record, key)) in names]
        if not left:
            there = _listed(_values_by_name(chosen, key))
            raise ConfigError(f"select={text} leaves no run: those with {before} have {key} {there}")
        chosen, before = left, ", ".join(filter(None, [before, f"{key} {' or '.join(map(name_of, values))}"]))
    return chosen
