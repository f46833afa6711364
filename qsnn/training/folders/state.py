"""What summary.json says of a run before it has ended: that it is queued, or running, in which process, since when.

queued -> running -> finished | failed | stopped. A run that still says running when nobody holds its folder was killed.
"""

import contextlib
import datetime
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qsnn.files import write_atomically
from qsnn.training.folders.lock import is_held
from qsnn.training.json_file import read_json, write_json

SUMMARY = "summary.json"
QUEUED, RUNNING, KILLED, FINISHED, FAILED = "queued", "running", "killed", "finished", "failed"
_KILLED = "killed"  # beside the status failed, see `write_death`


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of the run in ``folder``; of one that says running when nobody holds the folder its ``status`` is killed.
    Empty where there is none that can be read."""
    summary = read_json(folder / SUMMARY)
    if summary.get("status") == RUNNING and not is_held(folder):
        again = read_json(folder / SUMMARY)  # it may have ended between the two looks
        return {**again, "status": KILLED} if again == summary else again
    return summary


def write_queued(folder: Path, overrides: list[str]) -> None:
    """Say that a sweep will run ``overrides`` in ``folder``, which the caller holds. What an earlier try reached stays told
    beside it. Raises OSError."""
    _update(folder, {"status": QUEUED, "overrides": overrides}, without=("error", "pid", "host", "since", _KILLED))


@contextlib.contextmanager
def told_as_running(folder: Path, overrides: list[str]) -> Iterator[None]:
    """While a run runs in ``folder``, which the caller holds. If it then has said nothing of how it ended, its summary is
    again what it was. Raises OSError."""
    path = folder / SUMMARY
    before = path.read_bytes() if path.exists() else None
    since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    process = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    _update(folder, {"status": RUNNING, **process, "overrides": overrides}, without=("error", _KILLED))
    try:
        yield
    finally:
        if read_json(path).get("status") == RUNNING:
            with contextlib.suppress(OSError):  # such as a full disk, which has been told already
                path.unlink(missing_ok=True) if before is None else write_atomically(
                    path, lambda file: file.write(before)
                )


def write_death(folder: Path, reason: str, killed: bool = False) -> None:
    """Say of a run that cannot say so any more that it failed; ``killed``: through no fault of its own, as far as is known. One
    that had already told its end keeps it. Raises OSError."""
    if read_json(folder / SUMMARY).get("status") in (QUEUED, RUNNING, None):
        _update(folder, {"status": FAILED, "error": reason, **({_KILLED: True} if killed else {})})


def was_killed(summary: Mapping[str, Any]) -> bool:
    """Whether a run that is called failed was killed from outside, so that it may well succeed another time."""
    return summary.get("status") == FAILED and summary.get(_KILLED) is True


def _update(folder: Path, facts: dict[str, Any], without: tuple[str, ...] = ()) -> None:
    kept = {name: value for name, value in read_json(folder / SUMMARY).items() if name not in without}
    write_json(folder / SUMMARY, {**facts, **{name: value for name, value in kept.items() if name not in facts}})
