"""How long this process has spent on compiling kernels, or on loading their machine code from disk.

Kept for the whole process, as the kernels are: each is compiled at its first call, wherever that is, so that only a
figure of this kind can tell a run's training time from the wait before it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_seconds = [0.0]


@contextmanager
def compiling() -> Iterator[None]:
    """Count what happens within as compiling."""
    began = time.perf_counter()
    try:
        yield
    finally:
        with _lock:
            _seconds[0] += time.perf_counter() - began


def compile_seconds() -> float:
    """Seconds so far."""
    return _seconds[0]
