"""Parts of a kernel on torch's own OpenMP threads, for kernels that take turns with torch's operations.

After an operation torch's threads spin for a while in wait for the next one, and on all cores: threads of our own would
have to share a core with them, at a loss of milliseconds, where torch's need microseconds.
"""

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from qsnn.kernels.numba.runtime.threads import split

GRAIN = 500_000  # tenths of a nanosecond that a part is worth
_TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@functools.cache
def _gnu_parallel() -> Callable[..., None] | None:
    """``GOMP_parallel(task, data, threads, flags)`` of the library that torch has brought along, where it has one."""
    for file in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        run: Callable[..., None] = ctypes.CDLL(str(file)).GOMP_parallel
        return run
    return None


def share(kernel: Callable[..., Any], total: int, work: int, *arguments: Any) -> list[Any]:
    """`threads.split` on torch's threads, if they are GNU OpenMP's; else that itself."""
    run = _gnu_parallel()
    parts = min(torch.get_num_threads(), work // GRAIN, total)
    if run is None or parts <= 1:
        return split(kernel, total, work, *arguments)
    bounds = [total * part // parts for part in range(parts + 1)]
    results: dict[int, Any] = {}
    waiting = iter(range(parts))  # each thread takes the next part, however many threads come

    def task(_: int | None) -> None:
        for part in waiting:
            results[part] = kernel(bounds[part], bounds[part + 1], *arguments)

    run(_TASK(task), None, parts, 0)
    if len(results) < parts:
        raise RuntimeError("a part of a kernel has failed: the reason was printed before")
    return [results[part] for part in range(parts)]
