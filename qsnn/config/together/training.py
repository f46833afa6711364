"""Jobs that are trained as one, from composed configs to each one's summary."""

import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from omegaconf import OmegaConf

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
from qsnn.config.together.jobs import SweepJob
from qsnn.config.together.logs import Turns, turns_of
from qsnn.errors import QsnnError, naming
from qsnn.training.folders.lock import locked
from qsnn.training.interrupt import Stopped
from qsnn.training.loop import Outcome
from qsnn.training.together.loop import Failure
from qsnn.training.together.loop import train_together as train_runs

log = logging.getLogger(__name__)
Hold = Callable[[Path], AbstractContextManager[None]]
"""What a job's folder is held by, such as `locked`."""


class _Group:
    """Jobs on their way; ``ends``: of each that has ended, its outcome or the reason why it has none."""

    def __init__(self, jobs: Sequence[SweepJob], turns: Turns, hold: Hold) -> None:
        self.jobs, self._turns, self._hold = jobs, turns, hold
        self.beginnings: dict[int, Beginning] = {}
        self.ends: dict[int, Outcome | str] = {}

    def begin(self, held: ExitStack) -> None:
        """Every job's run, in its folder. One that cannot be is told of, there and here, and is left out."""
        for number, job in enumerate(self.jobs):
            self._turns.turn(number)
            try:
                held.enter_context(self._hold(job.folder))
                self.beginnings[number] = _begin(job)
            except (QsnnError, OSError) as error:
                record_refusal(job.folder, without_hydra(job.cfg), job.overrides, describe(error))
                self._fail(number, error)
            except Stopped as stop:
                reason = f"stopped by {signal.Signals(stop.args[0]).name} before it trained"
                record_refusal(job.folder, without_hydra(job.cfg), job.overrides, reason, status="stopped")
                raise
            finally:
                self._turns.turn(None)

    def _fail(self, number: int, error: Failure) -> None:
        reason = describe(error)
        log.error("error: %s", reason)
        self.ends[number] = reason

    def train(self) -> None:
        """All of them to their ends."""
        numbers = list(self.beginnings)
        runs = [
            (beginning.run, reporter_of(beginning, progress=number == numbers[0]))
            for number, beginning in self.beginnings.items()
        ]
        if not runs:
            return
        try:
            with memory_explained(self.beginnings[numbers[0]].config):
                train_runs(
                    runs,
                    ended=lambda place, end: self._ended(numbers[place], end),
                    turn=lambda place: self._turns.turn(None if place is None else numbers[place]),
                )
        except (QsnnError, OSError) as error:  # of them all, such as memory
            for number in self._under_way():
                self._ended(number, error)
        except Stopped:
            for number in self._under_way():
                record_stop(self.beginnings[number])
            raise

    def _under_way(self) -> list[int]:
        return [number for number in self.beginnings if number not in self.ends]

    def _ended(self, number: int, end: Outcome | Failure) -> None:
        """A job's summary.json, and its table or its reason."""
        beginning = self.beginnings[number]
        self._turns.turn(number)
        if isinstance(end, Outcome):
            try:
                conclude(beginning, end)
                self.ends[number] = end
                return
            except (QsnnError, OSError) as error:
                end = error
        record_failure(beginning, end)
        self._fail(number, end)


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


def train_together(jobs: Sequence[SweepJob], hold: Hold = locked) -> list[Outcome | str]:
    """Train jobs that differ in nothing but the seed as one; each leaves in its folder what it would alone.

    The outcome of each or, of one that has none, the reason, which its folder tells too: it does not end the others. After a
    signal all have ended, with checkpoints (``outcome.signal_number``). ``hold``: within which a job's folder is this process'.
    Raises Stopped for a signal outside of training.
    """
    with turns_of(jobs) as turns, ExitStack() as held:
        group = _Group(jobs, turns, hold)
        group.begin(held)
        group.train()
        return [group.ends[number] for number in range(len(jobs))]
