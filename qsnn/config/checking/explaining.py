"""Why a config cannot be composed: the library's reason, beside the word it is about, with what would be right there.

Also the keys that there are, and which of them may have been meant.
"""

import difflib
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Union

from hydra.errors import MissingConfigException
from omegaconf import OmegaConf, ValidationError
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from qsnn.config.schema import MORE_GROUPS, Config
from qsnn.options import GROUPS, bounds_text, options_of

LAUNCHER = "hydra.launcher."
IN_FILE = re.compile(r"In '(.+)': (\w+) raised while composing config:")
VALUE = re.compile(r"[Vv]alue '(.*?)' of type")
"""How Hydra tells of a config file that cannot be merged, and OmegaConf of a value of a wrong type."""
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
MANY = {int: "whole numbers", float: "numbers", bool: "true and false", str: "texts"}


def explain(error: Exception, overrides: list[str]) -> str:
    """The line that helps with a failed composition: OmegaConf's own reason, beside the override that it is about."""
    cause, full_key = cause_of(error)
    given = override_of(error, overrides) or full_key
    owners = [f"{group}={option}" for group in GROUPS for option, node in options_of(group).items()
              if full_key in names_of(node, f"{group}.")]  # fmt: skip
    unknown = isinstance(cause, ConfigAttributeError | ConfigKeyError)
    if unknown and owners:
        return f"{given}: this key belongs to {' and '.join(owners)}, which is not the one chosen; add {owners[0]} to set it"
    if unknown and full_key.startswith(LAUNCHER):
        return f"{given}: the launcher that is chosen has no such key; add hydra/launcher=processes, which has {LAUNCHER}n_jobs"
    lines = lines_of(cause)
    if full_key and (found := IN_FILE.match(lines[0])):
        return explain_in_file(full_key, found[1], found[2], lines[1])
    if isinstance(cause, MissingConfigException) and cause.options and cause.missing_cfg_file:
        group, _, name = str(cause.missing_cfg_file).rpartition("/")
        where = "" if group.startswith("hydra/") else lines[0].partition(": ")[0] + ": "
        return f"{where}{group}={name} does not exist: options are {', '.join(sorted(cause.options))}"
    # "In 'experiment/x': ... raised while composing config:" is followed by what was raised
    reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    takes = what_is_taken(cause) if isinstance(cause, ValidationError) else ""
    told = f"{given}: {reason}" if given else reason
    return f"{told.rstrip('.')}; it takes {takes}" if takes else told


def explain_in_file(full_key: str, file: str, kind: str, reason: str) -> str:
    """Of a key in a config file: its name or value, what is allowed, and the key that may have been meant."""
    owner = full_key.rpartition(".")[0]
    keys = list(dict.fromkeys(key for key in known_keys() if key.rpartition(".")[0] == owner))
    if "Key" in kind:
        near = difflib.get_close_matches(full_key, keys, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        listed = ", ".join(key.rpartition(".")[2] for key in keys)
        return f"{full_key} in {file}.yaml is no key: {hint}{owner or 'the config'} has {listed}"
    value = VALUE.search(reason)
    takes = taken_by(full_key)
    shown = f"{full_key}={value[1]}" if value else full_key
    return f"{shown} in {file}.yaml is not possible: {f'it takes {takes}' if takes else reason}"


def taken_by(full_key: str) -> str:
    """The values that a key takes; "" if nothing is known of it."""
    *path, name = full_key.split(".")
    nodes: list[Any] = [Config]
    for part in path:
        below = [typing.get_type_hints(node).get(part) for node in nodes if is_dataclass(node)]
        nodes = [*options_of(part).values()] if part in GROUPS else below
    found = (taken(node, name) for node in nodes if is_dataclass(node))
    return next((text for text in found if text), "")


def cause_of(error: Exception) -> tuple[Exception, str]:
    """OmegaConf's own error, and the key that it is about, or ""."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    named = (line.split(": ", 1)[1] for line in lines_of(cause) if line.startswith("full_key: "))
    return cause, getattr(cause, "full_key", None) or next(named, "")


def lines_of(error: Exception) -> list[str]:
    """The lines of its message that say something."""
    return [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]


def override_of(error: Exception, overrides: list[str]) -> str | None:
    """The override that a failed composition is about."""
    _, full_key = cause_of(error)
    return next((text for text in overrides if full_key and text.lstrip("+~").startswith(f"{full_key}=")), None)


def names_of(node: Any, prefix: str) -> list[str]:
    """Dotted names of a schema class's fields, inner ones included."""
    names = []
    for entry in fields(node) if is_dataclass(node) else ():
        names += [prefix + entry.name, *names_of(entry.type, f"{prefix}{entry.name}.")]
    return names


def known_keys() -> list[str]:
    """Dotted names of all keys of the root and of every group's options."""
    names = names_of(Config, "")
    for group in GROUPS:
        for node in options_of(group).values():
            names += names_of(node, f"{group}.")
    return list(dict.fromkeys(names))


def nearest_key(name: str) -> str | None:
    """The key that may have been meant: one of the same last name, or one that is written alike."""
    known = [*known_keys(), *GROUPS, *MORE_GROUPS]
    same_leaf = [key for key in known if key.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    near = same_leaf or difflib.get_close_matches(name, known, 1, 0.5)
    return near[0] if near else None


def what_is_taken(error: OmegaConfBaseException) -> str:
    """The values that the key of a wrong type takes, as its class declares them; "" where that is not known."""
    node, name = error.parent_node, error.key
    while node is not None and not is_dataclass(OmegaConf.get_type(node)):  # an entry of a list
        node, name = node._get_parent(), node._key()
    if node is None:
        return ""
    return taken(OmegaConf.get_type(node), name)


def taken(owner: Any, name: Any) -> str:
    """The values that a field of a dataclass takes."""
    entry = next((entry for entry in fields(owner) if entry.name == name), None)
    if entry is None:
        return ""
    kind = typing.get_type_hints(owner)[entry.name]
    if is_dataclass(kind):
        return f"values by its keys alone: {', '.join(inner.name for inner in fields(kind))}"
    told = " or ".join(_kinds(kind))
    choices = ", ".join("null" if one is None else str(one) for one in entry.metadata.get("choices", ()))
    bounds = choices or bounds_text(entry.metadata)
    each = "each " if told.startswith("a list") else ""
    return f"{told}{f', {each}{bounds}' if bounds else ''}" if told else ""


def _kinds(kind: Any) -> Iterator[str]:
    """In words; nothing of what may be anything."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        for one in inner:
            yield from _kinds(one)
    elif origin is list:
        yield f"a list of {MANY[inner[0]]}, such as [1,2]" if inner[0] in (int, float) else "a list in brackets"
    elif kind in KINDS:
        yield KINDS[kind]
