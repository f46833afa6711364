"""What a search tries: keys with values, and the overrides that a choice of them makes."""

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from qsnn.config.checking.checks import widths_there
from qsnn.config.checking.explaining import known_keys, nearest_key
from qsnn.config.command_line import group_options
from qsnn.config.paths import folder_name
from qsnn.config.schema import Config
from qsnn.errors import ConfigError
from qsnn.options import GROUPS, impossible
from qsnn.quantization.bit_widths import MAX_BITS, BitWidths

RANGE = re.compile(r"(\d{1,18})\.\.(\d{1,18})")
MOST_VALUES = 1000
ONE_FOR_ALL = ("rng_bits", "surrogate_bits")
WIDTHS = tuple(entry.name for entry in fields(BitWidths) if entry.name.endswith("_bits"))
FOLLOWING_STATE = ("membrane_bits", "synapse_bits")
NOT_SEARCHED = (
    "seed",
    "name",
    "resume",
    "start_from",
    "device",
    "kernels",
    "threads",
    "experiment",
    "logging",
    "search",
)
Settings = dict[str, Any]
"""A value for every dimension, by its name."""


class Dimension(NamedTuple):
    """``name``: a width such as ``weight_bits``, one of a layer such as ``hidden.weight_bits``, another key, or a group."""

    name: str
    values: tuple[Any, ...]


class Space(NamedTuple):
    """Every combination of the dimensions' values. ``layers``: of the net, input first; ``bits``: where nothing is searched."""

    dimensions: tuple[Dimension, ...]
    layers: tuple[str, ...]
    bits: BitWidths

    @property
    def size(self) -> int:
        """How many combinations there are."""
        size = 1
        for dimension in self.dimensions:
            size *= len(dimension.values)
        return size

    def points(self) -> Iterator[tuple[int, ...]]:
        """Every combination, as places in the dimensions' values."""
        return itertools.product(*(range(len(dimension.values)) for dimension in self.dimensions))

    def settings(self, point: Mapping[str, int]) -> Settings:
        """The values at these places."""
        return {dimension.name: dimension.values[point[dimension.name]] for dimension in self.dimensions}

    def overrides(self, settings: Settings) -> list[str]:
        """What a run with these values is started with."""
        own = {name: value for name, value in settings.items() if not _is_width(name)}
        widths = {name: self.width(name, settings) for name in WIDTHS if self._is_searched(name, settings)}
        words = [f"{name}={value_text(value)}" for name, value in own.items()]
        return [*words, *(f"quantization.{name}={value_text(value)}" for name, value in widths.items())]

    def _is_searched(self, width: str, settings: Settings) -> bool:
        return width in settings or any(f"{layer}.{width}" in settings for layer in self.layers)

    def width(self, name: str, settings: Settings) -> Any:
        """That of all layers, or a list with one a layer where layers differ by name."""
        common = settings[name] if name in settings else self._unsearched(name, settings)
        if not any(f"{layer}.{name}" in settings for layer in self.layers):
            return common
        by_layer = common if isinstance(common, list) else [common] * len(self.layers)
        return [settings.get(f"{layer}.{name}", bits) for layer, bits in zip(self.layers, by_layer, strict=True)]

    def _unsearched(self, name: str, settings: Settings) -> Any:
        """The config's, or where that follows the states' width the one that they have here."""
        own = getattr(self.bits, name)
        if name in FOLLOWING_STATE and own == self.bits.state_bits and self._is_searched("state_bits", settings):
            return self.width("state_bits", settings)
        return own


def _is_width(name: str) -> bool:
    return name.rsplit(".", 1)[-1] in WIDTHS


def value_text(value: Any) -> str:
    """A value as Hydra reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(value_text, value))}]"
    text = str(value)
    return text if re.fullmatch(r"[\w.+-]+", text) else "'" + text.replace("'", r"\'") + "'"


def settings_name(settings: Settings) -> str:
    """As a folder's name, and in messages."""
    return folder_name(",".join(f"{name}={value_text(value)}" for name, value in settings.items()))


def read_space(over: Mapping[str, Any], config: Config) -> Space:
    """The space that ``search.over`` means for the net of ``config``. Raises one ConfigError with all that is wrong."""
    layers = tuple(config.trainer.layer_names(config))
    problems: list[str] = []
    dimensions: dict[str, Dimension] = {}
    for key, values in over.items():
        if values is None:  # taken out again of what an experiment searches
            continue
        try:
            name = _name(str(key), config, layers)
            if name in dimensions:
                raise ConfigError(f"search.over: {key} is there twice: {name} means the same")
            dimensions[name] = Dimension(name, _values(str(key), name, values))
        except ConfigError as error:
            problems += error.args
    if not dimensions and not problems:
        problems.append("search.over names nothing to try: give such as search.over='{weight_bits: [1,2,4,8]}'")
    problems += _without_effect(dimensions, layers)
    if problems:
        raise ConfigError(*problems)
    return Space(tuple(dimensions.values()), layers, config.quantization)


def _without_effect(dimensions: Mapping[str, Dimension], layers: tuple[str, ...]) -> Iterator[str]:
    """What others leave nothing to: a width for all layers where each has one of its own, and a quantization whose widths are
    to be those of single layers."""
    by_layer = [name for name in dimensions if _is_width(name) and name not in WIDTHS]
    for width in WIDTHS:
        if width in dimensions and all(f"{layer}.{width}" in dimensions for layer in layers):
            own = ", ".join(f"{layer}.{width}" for layer in layers)
            yield f"search.over: {width} has no effect beside {own}, which are all layers: leave out one or the other"
    if "quantization" in dimensions and by_layer:
        yield f"search.over: quantization chooses all widths, and {by_layer[0]} is one of them: search over one or the other"


def _name(key: str, config: Config, layers: tuple[str, ...]) -> str:
    """The dimension that a key of ``search.over`` means. Raises ConfigError."""
    owner, _, last = key.removeprefix("quantization.").rpartition(".")
    if last in WIDTHS and not owner:
        return _used_width(key, last, config)
    layer = layers[int(owner)] if owner.isdigit() and int(owner) < len(layers) else owner
    if last in WIDTHS and layer in layers:
        if last in ONE_FOR_ALL:
            raise ConfigError(f"search.over: {key} is not possible: {last} is one for all layers")
        return f"{layer}.{_used_width(key, last, config)}"
    if last in WIDTHS:
        raise ConfigError(f"search.over: {key}: the net's layers are {', '.join(layers)} (or 0 to {len(layers) - 1})")
    if key.split(".")[0] in NOT_SEARCHED:
        raise ConfigError(f"search.over: {key} cannot be searched: give it beside search.over")
    if key not in (*known_keys(), *GROUPS):
        near = next(iter(difflib.get_close_matches(key, WIDTHS, 1)), None) or nearest_key(key)
        raise ConfigError(f"search.over: unknown key {key!r}{f': did you mean {near}?' if near else ''}")
    return key


def _used_width(key: str, width: str, config: Config) -> str:
    """The width, if the net has it. Raises ConfigError."""
    there = widths_there(config)
    if width not in there:
        raise ConfigError(f"search.over: {key} is not used: the net has {', '.join(there)}")
    return width


def _range(key: str, name: str, first: int, last: int) -> list[int]:
    """All values of a range. Raises ConfigError for one that no key has so many of, before it is made."""
    if last - first >= MOST_VALUES:
        allowed = (
            f"1..{MAX_BITS}" if _is_width(name) and name not in ONE_FOR_ALL else f"of at most {MOST_VALUES:,} values"
        )
        raise ConfigError(impossible(f"search.over: {key}", f"{first}..{last}", f"a range is {allowed}"))
    return list(range(first, last + 1))


def _values(key: str, name: str, values: Any) -> tuple[Any, ...]:
    """The values of a list, of a range, or a single one. Raises ConfigError."""
    typed = values
    if isinstance(values, str) and (found := RANGE.fullmatch(values)):
        values = _range(key, name, int(found[1]), int(found[2]))
    entries = list(values) if isinstance(values, list | tuple) else [values]
    if not entries or any(entries.count(entry) > 1 for entry in entries):
        raise ConfigError(impossible(f"search.over: {key}", typed, "give different values, in a list or as in 2..8"))
    if _is_width(name) and name not in ONE_FOR_ALL:
        wrong = [
            entry for entry in entries if entry is not None and not (type(entry) is int and 1 <= entry <= MAX_BITS)
        ]
        if wrong:
            raise ConfigError(impossible(f"search.over: {key}", wrong[0], f"a width is 1..{MAX_BITS} or null"))
    if name in GROUPS and (unknown := [entry for entry in entries if entry not in group_options()[name]]):
        raise ConfigError(f"search.over: {name}={unknown[0]} does not exist: {', '.join(group_options()[name])} do")
    return tuple(entries)
