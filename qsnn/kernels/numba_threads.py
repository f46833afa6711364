"""A small thread pool of our own: numba's parallel backends hang after fork or fight torch's OpenMP pool."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

# torch's OpenMP pool does not survive a fork: the child's first large operation of any kind would wait for ever.
os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))

GRAIN = 2_000_000  # waking a thread takes some 30 us

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def pool(workers: int) -> ThreadPoolExecutor:
    """The pool with ``workers`` threads of this process: a forked child inherits the object but not the threads."""
    key = (os.getpid(), workers)
    if key not in _pools:
        _pools.clear()
        _pools[key] = ThreadPoolExecutor(workers, thread_name_prefix="qsnn")
    return _pools[key]


@contextmanager
def single_threaded(wanted: bool) -> Iterator[None]:
    """Keep torch's operations on the caller's thread, if ``wanted``: for less work than waking its pool is worth.

    Where other processes compete for the cores, each of the pool's barriers can take milliseconds.
    """
    threads = torch.get_num_threads()
    if wanted and threads > 1:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if wanted and threads > 1:
            torch.set_num_threads(threads)


def split(kernel: Callable[..., Any], total: int, work: int, *arguments: Any, threads: int | None = None) -> list[Any]:
    """Call ``kernel(start, stop, *arguments)`` on parts of ``range(total)`` and return the results in order.

    One part per thread (``threads``, or as many as torch has), fewer where a part would have less than `GRAIN` of the
    ``work``, in tenths of a nanosecond. The caller's thread takes the first part.
    """
    parts = min(threads or torch.get_num_threads(), work // GRAIN, total) if work >= 2 * GRAIN else 1
    if parts <= 1:
        return [kernel(0, total, *arguments)]
    bounds = [total * part // parts for part in range(parts + 1)]
    submit = pool(parts - 1).submit
    others = [submit(kernel, bounds[part], bounds[part + 1], *arguments) for part in range(1, parts)]
    return [kernel(bounds[0], bounds[1], *arguments), *(other.result() for other in others)]
