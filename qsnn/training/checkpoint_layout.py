"""What a checkpoint of a net must hold: names, types, shapes and ranges, compared before a tensor is read.

A layout is nested as the content is. A tensor stands for a stored one of its type and shape, a dict or list for one of the
same names or length, an int for a count from 0 on, a float for a finite number, a str for itself; the classes below for more.
"""

import math
from typing import Any, NamedTuple

from torch import Tensor

from qsnn.errors import RunFolderError
from qsnn.training.checkpoint_file import StoredTensor

MAX_COUNT = 2**53


class Maybe(NamedTuple):
    """None, or what fits ``layout``."""

    layout: Any


class Count(NamedTuple):
    """An integer from 0 to ``highest``."""

    highest: int = MAX_COUNT


class Same(NamedTuple):
    """The integer ``value`` itself."""

    value: int


class Numbers(NamedTuple):
    """Finite numbers by name: none at all, or exactly those of ``names``."""

    names: frozenset[str]


def stream_layout(streams: dict[str, Any]) -> dict[str, list[Any]]:
    """Streams by name: the key, which seed and name decide, and any position."""
    return {name: [Same(stream.key), Count(2**63 - 1)] for name, stream in streams.items()}


def check_layout(found: Any, layout: Any, where: str, name: str = "") -> None:
    """Raise RunFolderError unless ``found`` fits; ``where`` names the file, ``name`` the entry in it."""
    if isinstance(layout, Maybe):
        if found is not None:
            check_layout(found, layout.layout, where, name)
    elif isinstance(layout, dict):
        _check_names(found, layout, where, name)
        for key, inner in layout.items():
            check_layout(found[key], inner, where, f"{name}.{key}" if name else key)
    elif isinstance(layout, list):
        _require(isinstance(found, list) and len(found) == len(layout), found, f"a list of {len(layout)}", where, name)
        for index, inner in enumerate(layout):
            check_layout(found[index], inner, where, f"{name}[{index}]")
    else:
        fits, expected = _leaf(found, layout)
        _require(fits, found, expected, where, name)


def _leaf(found: Any, layout: Any) -> tuple[bool, str]:
    """Whether a value fits, and what is expected."""
    if isinstance(layout, Tensor):
        return _is_like(found, layout), _shown(StoredTensor(layout.dtype, tuple(layout.shape), ""))
    if isinstance(layout, Numbers):
        named = isinstance(found, dict) and found.keys() in (set(), layout.names)
        return named and all(map(_is_number, found.values())), f"numbers by name, {len(layout.names)} or none"
    if isinstance(layout, Same):
        return type(found) is int and found == layout.value, f"the {layout.value} of this run"
    if isinstance(layout, str):
        return isinstance(found, str), "a text"
    if isinstance(layout, float):
        return _is_number(found), "a finite number"
    highest = layout.highest if isinstance(layout, Count) else MAX_COUNT
    return type(found) is int and 0 <= found <= highest, f"an integer from 0 to {highest}"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 2**1023 and math.isfinite(value)


def _is_like(found: Any, tensor: Tensor) -> bool:
    return isinstance(found, StoredTensor) and found[:2] == (tensor.dtype, tuple(tensor.shape))


def _check_names(found: Any, layout: dict[str, Any], where: str, name: str) -> None:
    _require(isinstance(found, dict), found, f"{len(layout)} entries by name", where, name)
    if found.keys() != layout.keys():
        odd = ", ".join(ascii(key)[:80] for key in sorted(found.keys() ^ layout.keys())[:5])
        inside = f" in {name}" if name else ""
        raise RunFolderError(f"{where} does not fit this run: {odd}{inside} is missing there or has no place here")


def _require(fits: bool, found: Any, expected: str, where: str, name: str) -> None:
    if not fits:
        raise RunFolderError(f"{where} does not fit this run: {name} is {_shown(found)}, expected {expected}")


def _shown(value: Any) -> str:
    if isinstance(value, StoredTensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {list(value.shape)}"
    if isinstance(value, dict | list):
        return f"a {type(value).__name__} of {len(value)}"
    return ascii(value)[:80]
