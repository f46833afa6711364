"""Jobs in processes of our own: persistent workers, forked from a parent that does nothing but wait for them.

A worker takes one job at a time. One that dies takes its job with it and nothing else.
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

from qsnn.config.sweeps.deaths import Memory, cause_of_death
from qsnn.config.sweeps.planning import Planned
from qsnn.config.sweeps.worker import Answer, serve
from qsnn.training.folders.lock import is_held
from qsnn.training.folders.state import QUEUED, read_summary, write_death
from qsnn.training.interrupt import Stopped

FORK = multiprocessing.get_context("fork")
log = logging.getLogger(__name__)


class Worker:
    """A process that runs jobs, and what the parent knows of it."""

    def __init__(self, cfg: DictConfig, context: HydraContext, others: list[Connection]) -> None:
        self.connection, theirs = FORK.Pipe()
        self.job: Planned | None = None
        self.number = -1
        arguments = (theirs, [self.connection, *others], cfg, context, os.getpid())
        self.process = FORK.Process(target=serve, args=arguments, name="qsnn worker")
        self.memory = Memory.now()
        self.process.start()
        theirs.close()

    def give(self, number: int, job: Planned) -> None:
        """Have it run ``job``."""
        self.number, self.job, self.memory = number, job, Memory.now()
        with contextlib.suppress(BrokenPipeError):  # dead already: its sentinel will say so
            self.connection.send((number, job.overrides))

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

    def run(self, jobs: list[Planned]) -> None:
        """All ``jobs``. Raises Stopped, and KeyboardInterrupt, when every worker has ended."""
        waiting = deque(enumerate(jobs))
        try:
            while waiting or any(worker.job for worker in self._workers):
                self._hand_out(waiting)
                self._hear()
            self._dismiss()
        except KeyboardInterrupt as stop:
            number = stop.args[0] if isinstance(stop, Stopped) else signal.SIGINT
            self._stop(number)
            raise

    def _hand_out(self, waiting: "deque[tuple[int, Planned]]") -> None:
        """A job to each worker that has none, as long as there are jobs that nobody else does."""
        while waiting and len(self._busy()) < self._count:
            number, job = waiting.popleft()
            if not self._planned or is_free(job):
                log.info("\t#%d : %s", number, " ".join(filter_overrides(job.overrides)))
                self._idle().give(number, job)

    def _idle(self) -> Worker:
        """A worker without a job; a new one if there is none, or if it has died meanwhile."""
        for worker in [worker for worker in self._workers if worker.job is None]:
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
        return [worker for worker in self._workers if worker.job]

    def _hear(self) -> None:
        """Wait until a worker has something to say, or has died."""
        for worker in list(self._wait()):
            try:
                answer = worker.connection.recv() if worker.connection.poll() else None
            except (EOFError, OSError):
                answer = None
            if answer is not None:
                self._ended(worker, answer)
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

    def _ended(self, worker: Worker, answer: Answer) -> None:
        assert worker.job is not None
        self.answers[worker.number] = answer
        if answer.error:
            write_death(worker.job.folder, answer.error)
            self._bury(worker)  # it leaves by itself
        worker.job = None

    def _died(self, worker: Worker) -> None:
        assert worker.job is not None
        self._bury(worker)
        reason = cause_of_death(worker.process.exitcode or 0, worker.memory)
        write_death(worker.job.folder, reason)
        log.error("error: %s", reason)
        self.answers[worker.number] = Answer(None, reason)
        worker.job = None

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
    jobs: list[Planned], workers: int, cfg: DictConfig, context: HydraContext, planned: bool = True
) -> list[JobReturn]:
    """Run ``jobs`` in so many processes. What became of them is in their folders, and what each returned is returned for
    sweepers. ``planned``: leave out what another sweep of the same plan does. Raises Stopped, and KeyboardInterrupt."""
    pool = Pool(workers, cfg, context, planned)
    pool.run(jobs)
    return [_returned(job, pool.answers.get(number, Answer(None, ""))) for number, job in enumerate(jobs)]


def _returned(job: Planned, answer: Answer) -> JobReturn:
    if answer.error:
        error = CompactHydraException(answer.error)
        return JobReturn(overrides=job.overrides, status=JobStatus.FAILED, _return_value=error)
    return JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED, _return_value=answer.value)
