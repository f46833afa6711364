"""A small thread pool of our own: numba's parallel backends hang after fork or fight torch's OpenMP pool."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

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


class Work(NamedTuple):
    """``kernel(start, stop, *arguments)`` on ``range(total)``, which takes ``work`` tenths of a nanosecond in all."""

    kernel: Callable[..., Any]
    total: int
    work: int
    arguments: tuple[Any, ...]


Part = tuple[int, int, int]  # number of the work, start, stop


def _parts(works: list[Work], threads: int) -> list[list[Part]]:
    """Equal shares of all the work, in order: for each thread the parts that are its own."""
    whole, done, shares = sum(entry.work for entry in works), 0, list[list[Part]]([] for _ in range(threads))
    for number, entry in enumerate(works):
        bounds = [whole * thread // threads - done for thread in range(threads + 1)]
        cuts = [min(max(entry.total * bound // max(1, entry.work), 0), entry.total) for bound in bounds]
        for thread in range(threads):
            if cuts[thread] < cuts[thread + 1]:
                shares[thread].append((number, cuts[thread], cuts[thread + 1]))
        done += entry.work
    return shares


def split_all(works: list[Work], threads: int | None = None) -> list[list[Any]]:
    """Do all ``works`` and return the results of each one's parts in order.

    By as many threads (``threads``, or as many as torch has), fewer where one would have less than `GRAIN` of the work.
    The caller's thread takes the first share.
    """
    whole = sum(entry.work for entry in works)
    team = min(threads or torch.get_num_threads(), whole // GRAIN) if whole >= 2 * GRAIN else 1

    def do(share: list[Part]) -> list[tuple[int, Any]]:
        return [(n, works[n].kernel(start, stop, *works[n].arguments)) for n, start, stop in share]

    if team <= 1:
        return [[entry.kernel(0, entry.total, *entry.arguments)] for entry in works]
    first, *rest = _parts(works, team)
    others = [pool(team - 1).submit(do, share) for share in rest if share]
    done = do(first) + [result for other in others for result in other.result()]
    return [[result for n, result in done if n == number] for number in range(len(works))]


def split(kernel: Callable[..., Any], total: int, work: int, *arguments: Any, threads: int | None = None) -> list[Any]:
    """`split_all` of one."""
    return split_all([Work(kernel, total, work, arguments)], threads)[0]
