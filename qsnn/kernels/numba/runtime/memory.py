"""What is known about a tensor besides its floats: integer codes and spike lists that later operations would rebuild.

An entry holds as long as the tensor lives unchanged: it is kept under the tensor's memory address together with a weak
reference and torch's version counter, which every in-place operation moves on. (Writes behind torch's back, through
``tensor.data`` or a numpy view, are not seen: do not change spikes or weights in that way between operations.)
"""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor


class _Entry(NamedTuple):
    owner: "weakref.ref[Tensor]"
    version: int
    shape: tuple[int, ...]
    value: Any


_entries: dict[tuple[int, str], _Entry] = {}


def remember(tensor: Tensor, kind: str, value: Any) -> None:
    """Keep ``value``, the ``kind`` of knowledge about ``tensor``."""
    if tensor.is_inference() or not tensor.is_contiguous():
        return
    key = (tensor.data_ptr(), kind)

    def release(owner: "weakref.ref[Tensor]") -> None:
        entry = _entries.get(key)
        if entry is not None and entry.owner is owner:
            _entries.pop(key, None)

    _entries[key] = _Entry(weakref.ref(tensor, release), tensor._version, tuple(tensor.shape), value)


def forget(tensor: Tensor) -> None:
    """Drop all that was kept about what lies at this tensor's memory."""
    for key in [key for key in list(_entries) if key[0] == tensor.data_ptr()]:  # another thread may add some
        _entries.pop(key, None)


def recall(tensor: Tensor, kind: str) -> Any | None:
    """What was kept about this tensor, or about another one on the same memory and of the same shape; None if nothing."""
    address = tensor.data_ptr()
    entry = _entries.get((address, kind))
    if entry is None:
        return None
    owner = entry.owner()
    if owner is None or owner._version != entry.version:
        return None
    # The usual case is the owner itself; else it must be an alias of it that is still at that address.
    if owner is not tensor and (owner.data_ptr() != address or tensor.is_inference() or not tensor.is_contiguous()):
        return None
    # A tensor that is no view of the owner would count its own versions: there is none while the owner lives.
    return entry.value if entry.shape == tuple(tensor.shape) else None


def known(tensor: Tensor, kind: str, find: Callable[[Tensor], Any]) -> Any:
    """What is remembered, or else ``find(tensor)``, remembered from now on."""
    value = recall(tensor, kind)
    if value is None:
        value = find(tensor)
        remember(tensor, kind, value)
    return value
