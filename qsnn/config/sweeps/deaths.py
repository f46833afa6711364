"""Why a process died that could not say so itself."""

import re
import signal
from pathlib import Path
from typing import NamedTuple

CGROUPS = Path("/proc/self/cgroup")
ROOT = Path("/sys/fs/cgroup")


class Memory(NamedTuple):
    """How many processes the kernel has killed for want of memory in this process' cgroup; None: it does not say."""

    kills: int | None

    @classmethod
    def now(cls) -> "Memory":
        """As the kernel counts it, in cgroups of version 2 (memory.events) or 1 (memory.oom_control)."""
        for path in _counters():
            try:
                found = re.search(r"^oom_kill (\d+)$", path.read_text(encoding="ascii"), re.M)
            except OSError:
                continue
            if found:
                return cls(int(found[1]))
        return cls(None)


def _counters() -> list[Path]:
    try:
        lines = CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    paths = []
    for line in lines:
        _, controllers, inside = line.split(":", 2)
        if controllers == "":
            paths.append(ROOT / inside.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            paths += [
                ROOT / "memory" / inside.lstrip("/") / "memory.oom_control",
                ROOT / "memory" / "memory.oom_control",
            ]
    return [*paths, ROOT / "memory.events"]


def is_from_outside(exit_code: int) -> bool:
    """Whether what ended a process was a signal that others send: a user, the kernel for want of memory, a batch system."""
    return -exit_code in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def cause_of_death(exit_code: int, before: Memory) -> str:
    """One line about a process with this ``exit_code``, minus the signal that ended it; ``before``: `Memory` as it began."""
    if exit_code >= 0:
        return f"its process ended with exit code {exit_code} and said nothing"
    name = signal.Signals(-exit_code).name
    if exit_code != -signal.SIGKILL:
        return f"killed by {name}"
    return f"killed by {name} ({what_memory_says(before)})"


def what_memory_says(earlier: Memory) -> str:
    """Whether the kernel has killed a process for want of memory since."""
    before, now = earlier.kills, Memory.now().kills
    if before is None or now is None:
        return "out of memory? the kernel does not tell here"
    if now > before:
        return "out of memory: the kernel killed a process of this cgroup for it meanwhile"
    return "not for want of memory in this cgroup, as far as the kernel counts it"
