"""A trial is a few runs, one a seed, in folders of their own: the jobs that make them, and what they reached.

The test part is not looked at: a run's summary has its scores, and nothing here reads them.
"""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from qsnn.config.paths import AUTO
from qsnn.config.sweeps.launching import launch
from qsnn.hardware.memory import KINDS
from qsnn.training.folders.lock import is_held
from qsnn.training.folders.state import FAILED, FINISHED, was_killed
from qsnn.training.runs import Job, read_job

TRIES, PAUSE = 3, 1.0


class Reached(NamedTuple):
    """What a setting reached. ``error``: 1 - validation accuracy, or of a pattern the distance as a share of a silent net's, a
    mean over seeds; ``standard_error``: sqrt(e (1 - e) / n) of n validation recordings, of a pattern that of the
    mean over seeds; ``spread``: standard deviation over seeds; both None of a pattern and one seed, ``spread`` of any one seed;
    ``bits``: by kind of memory."""

    error: float
    standard_error: float | None
    spread: float | None
    bits: dict[str, int]

    def value(self, objective: str) -> float:
        """Of ``error`` or of a kind of memory."""
        return self.error if objective == "error" else float(self.bits[objective])

    @classmethod
    def of_notes(cls, notes: Mapping[str, Any]) -> "Reached | None":
        """From plain values, as `_asdict` makes them; None where they are something else."""
        bits, names = notes.get("bits"), ("standard_error", "spread")
        sound = _is_number(notes.get("error")) and all(notes.get(n) is None or _is_number(notes[n]) for n in names)
        if not sound or not isinstance(bits, dict) or not all(type(bits.get(kind)) is int for kind in KINDS):
            return None
        kept = {kind: bits[kind] for kind in KINDS}
        return cls(float(notes["error"]), notes.get("standard_error"), notes.get("spread"), kept)


class Failure(NamedTuple):
    """Why a setting reached nothing; ``killed``: a run of it was ended from outside, and can go on."""

    reason: str
    killed: bool


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


class Runs(NamedTuple):
    """The runs of a setting: the overrides of each, and its folder below the search's."""

    jobs: list[list[str]]
    names: list[str]


def runs_of(words: Sequence[str], name: str, seeds: Sequence[int]) -> Runs:
    """One a seed, in ``name``/seed_<seed>."""
    jobs = [[*words, f"seed={seed}", f"resume={AUTO}"] for seed in seeds]
    return Runs(jobs, [f"{name}/seed_{seed}" for seed in seeds])


def run_all(runs: Sequence[Runs], folder: Path, hydra: Sequence[str]) -> list[Job]:
    """Run what is not finished, by the launcher. Returned are those that were refused as their folder holds something else.

    What another process still holds, one that was killed and saves its run, is waited for; a run that was stopped from outside
    goes on, some times, and one that was killed before goes on once.
    """
    for number in range(TRIES):
        todo = [
            (job, name)
            for one in runs
            for job, name in zip(one.jobs, one.names, strict=True)
            if _is_to_do(read_job(folder / name), number == 0)
        ]
        if not todo:
            return []
        while any(is_held(folder / name) for _, name in todo):
            time.sleep(PAUSE)
        refused = launch([job for job, _ in todo], folder, hydra, [name for _, name in todo])
        if refused:
            return refused
    return []


def _is_to_do(job: Job, first: bool) -> bool:
    return job.status not in (FINISHED, FAILED) or (first and was_killed(job.summary))


def reached(runs: Runs, folder: Path, refused: Sequence[Job] = ()) -> "Reached | Failure":
    """What a setting reached, or why it reached nothing. ``refused``: see `run_all`."""
    known = {job.folder: job for job in refused}
    found = [known.get(folder / name) or read_job(folder / name) for name in runs.names]
    lacking = [job for job in found if job.status != FINISHED]
    if lacking:
        own = [job for job in lacking if job.status == FAILED and not was_killed(job.summary)]
        job = (own or lacking)[0]
        return Failure(f"{job.reason()} [{job.folder}]", killed=not own)
    result = of_jobs(found)
    return Failure(result, killed=False) if isinstance(result, str) else result


def of_jobs(jobs: Sequence[Job]) -> Reached | str:
    """What finished runs of one setting reached, or why that cannot be told."""
    errors, recordings = [], 0
    for job in jobs:
        error = _error(job.summary)
        if error is None:
            return f"its summary tells neither a validation accuracy nor a distance [{job.folder}]"
        errors.append(error)
        recordings = int((job.summary.get("recordings") or {}).get("validation", 0))
    memory = jobs[0].summary.get("memory_bits")
    if not isinstance(memory, dict):
        return f"its summary does not tell its memory in bits [{jobs[0].folder}]"
    mean = fmean(errors)
    spread = stdev(errors) if len(errors) > 1 else None
    deviation = None if spread is None else spread / math.sqrt(len(errors))
    if recordings:
        deviation = math.sqrt(mean * (1 - mean) / recordings)
    bits = {kind: int(memory[kind]["bits"]) for kind in KINDS}
    return Reached(mean, deviation, spread, bits)


def _error(summary: Mapping[str, Any]) -> float | None:
    """Of the weights that a run hands out, see `qsnn.training.objective`; a distance relative to a silent net's."""
    best, final = summary.get("best") or {}, summary.get("final") or {}
    if "validation_accuracy" in best:
        return 1.0 - float(best["validation_accuracy"])
    return float(final["relative_distance"]) if "relative_distance" in final else None
