"""What a worker process does: jobs, one after the other, until there are none, it is stopped, or its parent has gone."""

import logging
import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from hydra.core.utils import JobStatus, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from qsnn.command import describe
from qsnn.config.sweeps import job
from qsnn.config.sweeps.composing import Composer
from qsnn.config.sweeps.together.training import run_jobs
from qsnn.training.interrupt import Interruptible, Stopped, end_with_parent

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What a job returned, or which error it raised that nothing in it explains."""

    value: float | None
    error: str


def serve(
    connection: Connection, others: list[Connection], cfg: DictConfig, context: HydraContext, parent: int
) -> None:
    """Run what comes through ``connection``. ``others``: ends of pipes that are the parent's."""
    with Interruptible():
        try:
            _end_with(parent)
            for other in others:
                other.close()
            _serve(connection, cfg, context, parent)
        except Stopped as stop:
            sys.exit(128 + stop.args[0])


def _end_with(parent: int) -> None:
    """Be told to stop when ``parent`` ends, be it by SIGKILL."""
    end_with_parent()
    _leave_if_orphaned(parent)


def _leave_if_orphaned(parent: int) -> None:
    if os.getppid() != parent:
        raise Stopped(signal.SIGTERM)


def _serve(connection: Connection, cfg: DictConfig, context: HydraContext, parent: int) -> None:
    setup_globals()
    composer = Composer(context.config_loader, cfg)
    while True:
        try:
            order: list[tuple[int, list[str]]] | None = connection.recv()
        except EOFError:  # the parent has gone
            return
        if order is None:
            return
        _leave_if_orphaned(parent)
        answers = _run([_numbered(number, composer.compose(words)) for number, words in order], context)
        connection.send(answers)
        if any(answer.error for answer in answers):  # who knows in what state it left this process
            return


def _numbered(number: int, config: DictConfig) -> DictConfig:
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    return config


def _run(configs: list[DictConfig], context: HydraContext) -> list[Answer]:
    """Run a job, or several as one."""
    if len(configs) == 1:
        end = _run_by_hydra(job.run_job, configs[0], context)
        return [end if isinstance(end, Answer) else Answer(end, "")]
    ends = _run_by_hydra(lambda _: run_jobs(configs), configs[0], context)  # the first stands for all
    if isinstance(ends, Answer):
        return [ends] * len(configs)
    return [Answer(None, end) if isinstance(end, str) else Answer(end, "") for end in ends]


def _run_by_hydra(task: TaskFunction, config: DictConfig, context: HydraContext) -> Any:
    """What ``task`` returns or, if it raises something that nothing in it explains, the `Answer` that tells that."""
    try:
        result = run_job(
            task_function=task, config=config, job_dir_key="hydra.sweep.dir", job_subdir_key="hydra.sweep.subdir",
            hydra_context=context,
        )  # fmt: skip
    except OSError as full:  # Hydra writes its part of the folder first
        return Answer(None, describe(full))
    if result.status == JobStatus.COMPLETED:
        return result.return_value
    error = result._return_value
    if isinstance(error, CompactHydraException):  # one line for a sweeper that minimises
        return Answer(None, str(error).removeprefix("error: "))
    log.error("%s", "".join(traceback.format_exception(error)))
    return Answer(None, " ".join(f"{type(error).__name__}: {error}".split()))
