"""What tests of pickles write by hand."""

import struct
from collections.abc import Callable
from pathlib import Path

import torch

NAME = Path("smile.pkl")


class Call:
    """Pickles as a call of `function`, which the pickle's reader is then asked to make; `state` follows as a BUILD."""

    def __init__(self, function: Callable, *args: object, state: object = None) -> None:
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> tuple:
        return self.reduced


def text(value: str) -> bytes:
    """The opcode that pushes a text."""
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def named(module: str, name: str) -> bytes:
    """The opcodes that look up `name` in `module` (STACK_GLOBAL)."""
    return text(module) + text(name) + b"\x93"


REBUILD = torch._utils._rebuild_tensor_v2
