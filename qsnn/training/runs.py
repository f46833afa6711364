"""Folders of runs, of a sweep or alone: what each was to do and how it ended, for tables and for the end of a sweep."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from qsnn.errors import RunFolderError
from qsnn.training.folders.state import FAILED, FINISHED, KILLED, QUEUED, RUNNING, SUMMARY, read_summary
from qsnn.training.json_file import read_json, write_json

PLAN, OVERRIDES = "sweep.json", ".hydra/overrides.yaml"
MISSING, UNFINISHED, UNREADABLE, STOPPED = "missing", "unfinished", "unreadable", "stopped"
STATES = (QUEUED, RUNNING, KILLED, FINISHED, STOPPED, FAILED)
"""That a summary tells, or that follow from it."""
RESUME, AGAIN = "resume=<its folder> goes on with it", "the same command again goes on with it"
REASONS = {
    MISSING: "it never started",
    QUEUED: "it has not been started yet",
    UNFINISHED: f"it has no {SUMMARY}: it is still running, or was killed",
    UNREADABLE: f"its {SUMMARY} is damaged",
    STOPPED: RESUME,
}


class Job(NamedTuple):
    """A run: its overrides, where it is (None: a sweep planned it and it never started), and its summary.json.

    ``status``: as the summary says (queued, running, finished, stopped, failed), killed (running, but nobody holds the folder),
    or missing, unfinished (no summary.json), unreadable.
    """

    overrides: tuple[str, ...]
    folder: Path | None
    status: str
    summary: dict[str, Any]

    def reason(self) -> str:
        """Why it is not finished."""
        if self.status in (RUNNING, KILLED):
            return self._where()
        if self.status == UNREADABLE and "status" in self.summary:
            return f"{REASONS[UNREADABLE]} (status)"
        return str(self.summary.get("error") or REASONS.get(self.status, ""))

    def _where(self) -> str:
        """In which process it runs, or ran to its sudden end."""
        pid, host, since = (ascii(self.summary.get(name, "?"))[:80].strip("'") for name in ("pid", "host", "since"))
        if self.status == RUNNING:
            return f"process {pid} on {host} has been at it since {since}"
        return f"process {pid} on {host}, which began {since}, ended without a word; {RESUME}"


def write_plan(folder: Path, jobs: list[list[str]]) -> None:
    """Note the overrides of a sweep's jobs in its folder, so that jobs that never start can be told.

    Those of an earlier sweep into the same folder stay. Raises RunFolderError where what it noted is damaged, and OSError.
    """
    check_plan(folder)
    planned = [task_overrides(job) for job in jobs]
    earlier = [job for job in read_plan(folder / PLAN) if job not in planned]
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / PLAN, {"jobs": [*earlier, *planned]})


def check_plan(folder: Path) -> None:
    """Raise RunFolderError where the plan of a sweep is damaged: which jobs it had is not known, and is not to be lost."""
    path = folder / PLAN
    if os.path.lexists(path) and not is_plan(path):
        raise RunFolderError(
            f"{path} is damaged: it does not tell which jobs the sweep has; move it away, and the same command plans its own "
            "jobs anew, or give another folder"
        )


def is_plan(path: Path) -> bool:
    """Whether a file tells the jobs of a sweep."""
    jobs = read_json(path).get("jobs")
    return isinstance(jobs, list) and all(
        isinstance(job, list) and all(isinstance(t, str) for t in job) for job in jobs
    )


def read_plan(path: Path) -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep; none if the file is damaged."""
    return [task_overrides(job) for job in read_json(path)["jobs"]] if is_plan(path) else []


def find_jobs(folder: Path, refused: Iterable[Job] = ()) -> list[Job]:
    """Every run in or below ``folder``, and the jobs of every sweep there that never started, in the sweep's order.

    ``refused``: jobs that a sweep could not run because their folders hold something else.
    """
    known = {job.overrides: job for job in refused}
    found = {path.parent for path in folder.rglob(SUMMARY)} | {path.parents[1] for path in folder.rglob(OVERRIDES)}
    jobs = [read_job(run) for run in sorted(found)]
    order: dict[tuple[str, ...], int] = {}
    for plan in sorted(folder.rglob(PLAN)):
        started = {job.overrides for job in jobs if job.folder is not None and plan.parent in job.folder.parents}
        for planned in read_plan(plan):
            order.setdefault(planned, len(order))
            if planned not in started:
                jobs.append(known.get(planned, Job(planned, None, MISSING, {})))
    jobs = [known.get(job.overrides, job) for job in jobs]
    return sorted(jobs, key=lambda job: order.get(job.overrides, len(order)))


def read_job(folder: Path) -> Job:
    """The run in ``folder``."""
    summary = read_summary(folder)
    status = summary.get("status", UNREADABLE if (folder / SUMMARY).exists() else UNFINISHED)
    if status not in (*STATES, UNFINISHED):
        status = UNREADABLE
    overrides = summary.get("overrides")
    if not isinstance(overrides, list):
        overrides = _read_overrides(folder / OVERRIDES)
    return Job(task_overrides(overrides), folder, status, summary)


def _read_overrides(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return None


def task_overrides(content: Any) -> tuple[str, ...]:
    """Those of a job in order, without ``resume=``: a sweep that goes on has the same jobs."""
    texts = map(str, content) if isinstance(content, list | tuple) else ()
    return tuple(sorted(text for text in texts if not text.startswith("resume=")))


def job_name(job: Job, jobs: Iterable[Job]) -> str:
    """The overrides by which a job differs from others of ``jobs``; all of its overrides if there are no others."""
    others = [set(other.overrides) for other in jobs]
    shared = set.intersection(*others) if len(others) > 1 else set()
    own = [text for text in job.overrides if text not in shared]
    return " ".join(own) or (job.folder.name if job.folder else "defaults")


def headline(summary: dict[str, Any]) -> str:
    """The main score of a run: distance of the last weights, or test accuracy of the best ones; "" where there is none."""
    final, best = (_numbers(summary.get(key)) for key in ("final", "best"))
    if "distance" in final and "relative_distance" in final:
        return f"distance {final['distance']:.2f} ({final['relative_distance']:.1%} of silence)"
    for scores in (best, final):
        if "test_accuracy" in scores:
            return f"test accuracy {scores['test_accuracy']:.1%}"
    return f"validation accuracy {best['validation_accuracy']:.1%}" if "validation_accuracy" in best else ""


def _numbers(scores: Any) -> dict[str, float]:
    """Those of a part of a summary, which anybody may have written."""
    return (
        {name: value for name, value in scores.items() if type(value) in (int, float)}
        if isinstance(scores, dict)
        else {}
    )


def left_out(jobs: Sequence[Job], again: bool = False) -> list[str]:
    """A line for each job that is not finished: why, which, where. ``again``: the command that made them goes on with them."""
    lines = []
    for job in jobs:
        if job.status != FINISHED:
            reason = job.reason().replace(RESUME, AGAIN if again else RESUME)
            what = reason if job.status == FAILED else f"{job.status}: {reason}"
            where = f", in {job.folder}" if job.folder else ""
            lines.append(f"error: {what} [{job_name(job, jobs)}{where}]")
    return lines


def sweep_table(folder: Path, jobs: Sequence[Job]) -> str:
    """What became of each job of a sweep: name, status, main score, folder."""
    counts = ", ".join(f"{count} {status}" for status, count in Counter(job.status for job in jobs).items())
    head = f"sweep of {len(jobs)} jobs: {counts}; in {folder}"
    rows = [("job", "status", "score", "folder")]
    rows += [
        (job_name(job, jobs), job.status, headline(job.summary), job.folder.name if job.folder else "") for job in jobs
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:<{widths[2]}}  {d}" for a, b, c, d in rows]
    return "\n".join([head, "", *(f"  {line.rstrip()}" for line in lines)])
