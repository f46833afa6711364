"""Threads that run one kernel together: each does its part of a stage, then waits for the others.

Waiting is spinning, for microseconds: waking a thread takes longer than most stages do. Whoever waits gives way to other
processes, so that a team of more threads than there are cores to spare is slow, but not lost.
"""
# mypy: allow-untyped-defs

import os
import threading
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from qsnn.kernels.numba.runtime.compile import OPTIONS, Kernel
from qsnn.kernels.numba.runtime.threads import pool

COUNTERS = 32  # int64: the first is counted up, and no other thread's data share its cache lines


@intrinsic
def _count_up(typing_context, counters):
    """Add 1 to ``counters[0]``, as one indivisible operation before and after which all memory is in order."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, context.get_constant(types.int64, 1), ordering="seq_cst")

    return types.int64(counters), generate


@intrinsic
def _read(typing_context, counters):
    """``counters[0]`` as the other threads have left it."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(data, ordering="seq_cst", align=8)

    return types.int64(counters), generate


if os.name == "posix":
    _sched_yield = types.ExternalFunction("sched_yield", types.int32())

    @njit(**OPTIONS)
    def _give_way():
        _sched_yield()
else:

    @njit(**OPTIONS)
    def _give_way():  # Windows has no such call
        pass


@njit(**OPTIONS)
def meet(counters, team, meetings):
    """Wait until all ``team`` threads are here for the time number ``meetings + 1``, and return that number."""
    meetings += 1
    if team > 1:
        _count_up(counters)
        spins = 0
        while _read(counters) < meetings * team:
            spins += 1
            if spins > 2000:
                _give_way()
    return meetings


@njit(**OPTIONS)
def share(total, member, team):
    """The part of ``range(total)`` that is ``member``'s: first and last but one."""
    return total * member // team, total * (member + 1) // team


_one_team = threading.Lock()  # two teams, each with a part of the pool's threads, would wait for ever


def _fresh_lock() -> None:
    global _one_team
    _one_team = threading.Lock()


os.register_at_fork(after_in_child=_fresh_lock)


def run_together(kernel: Kernel, team: int, *arguments: Any) -> Any:
    """``kernel(member, team, counters, *arguments)`` in ``team`` threads at once; the result of member 0.

    The kernel's last act must be a meeting: then all is done when member 0 returns, and nobody has to be waked once more.
    """
    counters = np.zeros(COUNTERS, np.int64)
    if team == 1:
        return kernel(0, 1, counters, *arguments)
    kernel.compile()  # not while others wait
    with _one_team:
        for member in range(1, team):
            pool(team - 1).submit(kernel, member, team, counters, *arguments)
        return kernel(0, team, counters, *arguments)
