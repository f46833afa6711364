"""Jobs in processes of our own: persistent workers, forked from a parent that does nothing but wait for them.

A worker takes one job at a time, or several that are trained as one. One that dies takes these with it and nothing else.
"""

import contextlib
import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait

from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.errors import CompactHydraException
from hydra.types import HydraContext
from omegaconf import DictConfig

from qsnn.config.sweeps.deaths import Memory, cause_of_death, is_from_outside
from qsnn.config.sweeps.planning import Planned
from qsnn.config.sweeps.worker import Answer, serve
from qsnn.training.folders.lock import is_held
from qsnn.training.folders.state import QUEUED, read_summary, write_death
from qsnn.training.interrupt import Stopped

FORK = multiprocessing.get_context("fork")
Unit = list[tuple[int, Planned]]
"""Jobs that are run as one, with their numbers; mostly a single one."""
log = logging.getLogger(__name__)


class Worker:
    """A process that runs jobs, and what the parent knows of it."""

    def __init__(self, cfg: DictConfig, context: HydraContext, others: list[Connection]) -> None:
        self.connection, theirs = FORK.Pipe()
        self.unit: Unit = []
        arguments = (theirs, [self.connection, *others], cfg, context, os.getpid())
        self.process = FORK.Process(target=serve, args=arguments, name="qsnn worker")
        self.memory = Memory.now()
        self.process.start()
        theirs.close()

    def give(self, unit: Unit) -> None:
        """Have it run ``unit``."""
        self.unit, self.memory = unit, Memory.now()
        with contextlib.suppress(BrokenPipeError):  # dead already: its sentinel will say so
            self.connection.send([(number, job.overrides) for number, job in unit])

    def dismiss(self) -> None:
        """Let it end: there is nothing more to do."""
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(None)


class Pool:
    """The parent: gives jobs to workers and hears of their ends."""

    def __init__(self, count: int, cfg: DictConfig, context: HydraContext, planned: bool) -> None:
        self._count, self._cfg, self._context, self._planned = count, cfg, context, planned
        self._workers: list[Worker] = []
        self.answers: dict[int, Answer] = {}

    def run(self, units: list[Unit]) -> None:
        """All ``units``. Raises Stopped, and KeyboardInterrupt, when every worker has ended."""
        waiting = deque(units)
        try:
            while waiting or self._busy():
                self._hand_out(waiting)
                self._hear()
            self._dismiss()
        except KeyboardInterrupt as stop:
            number = stop.args[0] if isinstance(stop, Stopped) else signal.SIGINT
            self._stop(number)
            raise

    def _hand_out(self, waiting: deque[Unit]) -> None:
        """A unit to each worker that has none, as long as there are jobs that nobody else does."""
        while waiting and len(self._busy()) < self._count:
            unit = [(number, job) for number, job in waiting.popleft() if not self._planned or is_free(job)]
            for number, job in unit:
                log.info("\t#%d : %s", number, " ".join(filter_overrides(job.overrides)))
            if unit:
                self._idle().give(unit)

    def _idle(self) -> Worker:
        """A worker without a job; a new one if there is none, or if it has died meanwhile."""
        for worker in [worker for worker in self._workers if not worker.unit]:
            if worker.process.is_alive():
                return worker
            self._bury(worker)
        worker = Worker(self._cfg, self._context, [worker.connection for worker in self._workers])
        self._workers.append(worker)
        return worker

    def _bury(self, worker: Worker) -> None:
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.unit]

    def _hear(self) -> None:
        """Wait until a worker has something to say, or has died."""
        for worker in list(self._wait()):
            try:
                answers = worker.connection.recv() if worker.connection.poll() else None
            except (EOFError, OSError):
                answers = None
            if answers is not None:
                self._ended(worker, answers)
            else:
                self._died(worker)

    def _wait(self) -> Iterator[Worker]:
        busy = self._busy()
        if not busy:
            return
        ready = wait([thing for worker in busy for thing in (worker.connection, worker.process.sentinel)])
        for worker in busy:
            if worker.connection in ready or worker.process.sentinel in ready:
                yield worker

    def _ended(self, worker: Worker, answers: list[Answer]) -> None:
        if any(answer.error for answer in answers):
            self._bury(worker)  # it leaves by itself
        self._note(worker, answers)

    def _note(self, worker: Worker, answers: list[Answer], killed: bool = False) -> None:
        for (number, job), answer in zip(worker.unit, answers, strict=True):
            self.answers[number] = answer
            if answer.error and not is_held(job.folder):  # another process may have come between: it tells its own end
                write_death(job.folder, answer.error, killed)
        worker.unit = []

    def _died(self, worker: Worker) -> None:
        self._bury(worker)
        code = worker.process.exitcode or 0
        reason = cause_of_death(code, worker.memory)
        log.error("error: %s", reason)
        self._note(worker, [Answer(None, reason)] * len(worker.unit), is_from_outside(code))

    def _dismiss(self) -> None:
        for worker in self._workers:
            worker.dismiss()
        for worker in self._workers:
            worker.process.join()

    def _stop(self, number: int) -> None:
        """Have every worker stop as a single run would: training saves what it has and ends."""
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid:
                os.kill(worker.process.pid, number)
        for worker in self._workers:
            worker.process.join()


def is_free(job: Planned) -> bool:
    """Whether nobody has done ``job`` since it was planned, or is at it."""
    return not is_held(job.folder) and read_summary(job.folder).get("status") in (QUEUED, None, "killed")


def run_in_processes(
    jobs: list[Planned], workers: int, cfg: DictConfig, context: HydraContext, planned: bool = True,
    units: list[list[int]] | None = None,
) -> list[JobReturn]:  # fmt: skip
    """Run ``jobs`` in so many processes. What became of them is in their folders, and what each returned is returned for
    sweepers. ``planned``: leave out what another sweep of the same plan does; ``units``: numbers of the jobs that are run as
    one, None: each alone. Raises Stopped, and KeyboardInterrupt."""
    pool = Pool(workers, cfg, context, planned)
    numbers = [[number] for number in range(len(jobs))] if units is None else units
    pool.run([[(number, jobs[number]) for number in unit] for unit in numbers])
    return [_returned(job, pool.answers.get(number, Answer(None, ""))) for number, job in enumerate(jobs)]


def _returned(job: Planned, answer: Answer) -> JobReturn:
    if answer.error:
        error = CompactHydraException(answer.error)
        return JobReturn(overrides=job.overrides, status=JobStatus.FAILED, _return_value=error)
    return JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED, _return_value=answer.value)
