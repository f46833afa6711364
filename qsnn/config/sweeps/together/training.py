"""Jobs that are trained as one, from composed configs to each one's summary."""

import contextlib
import logging
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from omegaconf import DictConfig, OmegaConf

from qsnn.command import describe
from qsnn.config.building.common import to_config
from qsnn.config.building.memory import memory_explained
from qsnn.config.composition import without_hydra
from qsnn.config.resume import check_vacant
from qsnn.config.run import (
    Beginning,
    conclude,
    prepare,
    record_failure,
    record_refusal,
    record_stop,
    reporter_of,
)
from qsnn.config.sweeps.job import NOT_RUN, claimed, is_told, record_early_stop
from qsnn.config.sweeps.together.jobs import SweepJob, sweep_job
from qsnn.config.sweeps.together.logs import Turns, turns_of
from qsnn.errors import QsnnError, naming
from qsnn.training.folders.state import told_as_running, write_death
from qsnn.training.interrupt import Stopped, raise_if_stopped
from qsnn.training.loop import Outcome
from qsnn.training.objective import error_to_minimise
from qsnn.training.together.loop import Failure
from qsnn.training.together.loop import train_together as train_runs

log = logging.getLogger(__name__)
End = Outcome | str | None
"""Of a job: its outcome, the reason why it has none, or None if another process does it."""


class _Group:
    """Jobs on their way, whose folders are held; ``ends``: of those that have ended."""

    def __init__(self, jobs: dict[int, SweepJob], turns: Turns) -> None:
        self._jobs, self._turns = jobs, turns
        self._places = {number: place for place, number in enumerate(jobs)}
        self._beginnings: dict[int, Beginning] = {}
        self.ends: dict[int, End] = {}

    def run(self) -> None:
        """All of them to their ends. Raises Stopped for a signal outside of training, when each has told of it."""
        try:
            self._begin()
            self._train()
        except Stopped as stop:
            for number in [number for number in self._jobs if number not in self.ends]:
                if number in self._beginnings:
                    record_stop(self._beginnings[number])
                job = self._jobs[number]
                record_early_stop(job.folder, without_hydra(job.cfg), job.overrides, stop)
            raise

    def _turn(self, number: int | None) -> None:
        self._turns.turn(None if number is None else self._places[number])

    def _begin(self) -> None:
        """Every job's run, in its folder. One that cannot be is told of, there and here, and is left out."""
        for number, job in self._jobs.items():
            self._turn(number)
            try:
                self._beginnings[number] = _begin(job)
            except (QsnnError, OSError) as error:
                record_refusal(job.folder, without_hydra(job.cfg), job.overrides, describe(error))
                self._fail(number, error)
            finally:
                self._turn(None)

    def _fail(self, number: int, error: Failure) -> None:
        self.ends[number] = _failed(self._jobs[number], error)

    def _train(self) -> None:
        """Those that have begun."""
        numbers = list(self._beginnings)
        runs = [
            (beginning.run, reporter_of(beginning, progress=number == numbers[0]))
            for number, beginning in self._beginnings.items()
        ]
        if not runs:
            return
        try:
            with memory_explained(self._beginnings[numbers[0]].config):
                train_runs(
                    runs,
                    ended=lambda place, end: self._ended(numbers[place], end),
                    turn=lambda place: self._turn(None if place is None else numbers[place]),
                )
        except (QsnnError, OSError) as error:  # of them all, such as memory
            for number in [number for number in numbers if number not in self.ends]:
                self._ended(number, error)

    def _ended(self, number: int, end: Outcome | Failure) -> None:
        """A job's summary.json, and its table or its reason."""
        beginning = self._beginnings[number]
        self._turn(number)
        if isinstance(end, Outcome):
            try:
                conclude(beginning, end)
                self.ends[number] = end
                return
            except (QsnnError, OSError) as error:
                end = error
        record_failure(beginning, end)
        self._fail(number, end)


def _failed(job: SweepJob, error: Failure) -> str:
    """Tell of a job that failed, in its folder and in its log: the reason."""
    reason = describe(error)
    with contextlib.suppress(OSError):  # such as a full disk: the sweep tells it then
        write_death(job.folder, reason)  # beside what an earlier try reached
    log.error("error: %s", reason)
    return reason


def _begin(job: SweepJob) -> Beginning:
    """What `qsnn.config.run.start` does before it trains. Raises QsnnError, OSError."""
    own = without_hydra(job.cfg)
    config = to_config(own)
    check_vacant(config, job.folder)  # before .hydra/ says what another run was composed of
    _write_hydra(job)
    with memory_explained(config):
        return prepare(config, job.folder, job.overrides)


def _write_hydra(job: SweepJob) -> None:
    """What Hydra writes of a job: its config, Hydra's own, and the overrides."""
    folder = job.folder / ".hydra"
    parts = {
        "config": without_hydra(job.cfg),
        "hydra": OmegaConf.create({"hydra": job.cfg.hydra}),
        "overrides": OmegaConf.create(job.overrides),
    }
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in parts.items():
            (folder / f"{name}.yaml").write_text(OmegaConf.to_yaml(part), encoding="utf-8")


def _claim(job: SweepJob, held: ExitStack) -> bool:
    """Whether a job is to be done by this process, whose folder then is ``held``, and tells so. Raises QsnnError, OSError."""
    to_do = held.enter_context(claimed(job.folder, job.cfg))
    if to_do:
        held.enter_context(told_as_running(job.folder, job.overrides))
    return to_do


def train_together(jobs: Sequence[SweepJob]) -> list[End]:
    """Train jobs that differ in nothing but the seed as one; each leaves in its folder what it would alone.

    A job that fails does not end the others, and one that another process does is left out. After a signal all have ended,
    with checkpoints (``outcome.signal_number``). Raises Stopped for a signal outside of training.
    """
    ends, mine = dict[int, End](), dict[int, SweepJob]()
    with ExitStack() as held:
        for number, job in enumerate(jobs):
            ends[number] = None
            try:
                if _claim(job, held):
                    mine[number] = job
            except (QsnnError, OSError) as error:
                ends[number] = _failed(job, error)
        if mine:
            with turns_of(list(mine.values())) as turns:
                group = _Group(mine, turns)
                group.run()
                ends |= group.ends
    return [ends[number] for number in range(len(jobs))]


def run_jobs(configs: Sequence[DictConfig]) -> list[float | str]:
    """`qsnn.config.sweeps.job.run_job` of several jobs that differ in nothing but the seed: the error of each or, of one that
    failed while its folder could not be told why, that."""
    raise_if_stopped()
    jobs = [sweep_job(cfg) for cfg in configs]
    ends = train_together(jobs)
    number = max((end.signal_number for end in ends if isinstance(end, Outcome)), default=0)
    if number:
        sys.exit(128 + number)
    return [_answer(job, end) for job, end in zip(jobs, ends, strict=True)]


def _answer(job: SweepJob, end: End) -> float | str:
    if isinstance(end, Outcome):
        return error_to_minimise(end)
    return NOT_RUN if end is None or is_told(job.folder, end) else f"error: {end}"
