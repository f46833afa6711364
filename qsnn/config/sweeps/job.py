"""One job of a sweep, as a launcher starts it: claimed by its folder, told in its summary, and never an end of the sweep."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from omegaconf import DictConfig, OmegaConf

from qsnn.command import describe
from qsnn.config.paths import AUTO
from qsnn.config.sweep_jobs import BASIC_SWEEPER, check_objective, wants_seeds_together
from qsnn.errors import QsnnError
from qsnn.training.folders.lock import InUseError, locked
from qsnn.training.folders.state import FINISHED, read_summary, told_as_running, write_death
from qsnn.training.interrupt import Stopped, raise_if_stopped

if TYPE_CHECKING:
    from qsnn.training.loop import Outcome  # takes torch with it

NOT_RUN = float("nan")
SEEDS_ALONE = "trainer.vectorize=seed: this sweeper or launcher starts every job by itself, so each trains alone"
log = logging.getLogger(__name__)


def run_job(cfg: DictConfig) -> float:
    """One job, in the folder that Hydra has chosen: its error, see `qsnn.training.objective`; NaN where there is none.

    A failure is told in the folder and raises nothing: an exception would make launchers leave out other jobs. Only a sweeper
    that minimises gets it as one.
    """
    raise_if_stopped()  # while Hydra went from one job of a sweep to the next
    hydra_config = HydraConfig.get()
    folder, overrides = Path(hydra_config.runtime.output_dir), task_words(hydra_config)
    minimised = hydra_config.sweeper["_target_"] != BASIC_SWEEPER
    if minimised and wants_seeds_together(cfg):
        log.warning(SEEDS_ALONE)
    with claimed(folder, cfg, minimised) as to_do:
        return _run_claimed(cfg, folder, overrides, minimised) if to_do else NOT_RUN


@contextlib.contextmanager
def claimed(folder: Path, cfg: DictConfig, minimised: bool = False) -> Iterator[bool]:
    """Hold the folder of a job; whether it is to be done: not if another process is at it, or has done it since it was planned.
    Raises OSError, and CompactHydraException where a sweeper that minimises waits for the job."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(folder))
        except InUseError as error:
            if minimised:
                raise CompactHydraException(f"error: {error}") from error
            log.info("%s", error)  # that process does it, and the sweep tells in the end who it is
            yield False
        else:
            yield minimised or not is_done(folder, cfg)


def task_words(hydra_config: Any) -> list[str]:
    """The overrides of a run as they were typed, what is interpolated in them still so."""
    words = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)
    return [str(word) for word in words] if isinstance(words, list) else []


def is_done(folder: Path, cfg: DictConfig) -> bool:
    """Whether another process has done the job of ``folder``, which this one holds, since it was planned. A job that its
    cluster starts again goes on in any case but one."""
    status = read_summary(folder).get("status")
    if status == FINISHED:
        return bool(cfg.resume == AUTO)
    return status in ("failed", "stopped") and int(os.environ.get("SLURM_RESTART_COUNT") or 0) == 0


def _run_claimed(cfg: DictConfig, folder: Path, overrides: list[str], minimised: bool) -> float:
    """The job, in a folder that this process holds."""
    from qsnn.training.objective import error_to_minimise

    try:
        with told_as_running(folder, overrides):
            try:
                outcome = start_or_record(cfg, folder, overrides, minimised)
            except (QsnnError, OSError) as error:
                write_death(folder, describe(error))  # beside what an earlier try reached
                raise
    except (QsnnError, OSError) as error:
        return _failed_job(folder, describe(error), minimised)
    if outcome.signal_number:
        sys.exit(128 + outcome.signal_number)
    return error_to_minimise(outcome)


def start_or_record(cfg: DictConfig, folder: Path, overrides: list[str], minimised: bool = False) -> "Outcome":
    """A run, in a folder that this process holds; if it fails, the folder tells why."""
    from qsnn.config.run import record_refusal, start
    from qsnn.config.sharing.group import joined_workers

    try:
        if minimised:
            check_objective(cfg)
        return start(cfg, folder, overrides, joined_workers())
    except (QsnnError, OSError) as error:
        record_refusal(folder, cfg, overrides, describe(error))
        raise
    except Stopped as stop:
        record_early_stop(folder, cfg, overrides, stop)
        raise


def record_early_stop(folder: Path, cfg: DictConfig, overrides: list[str], stop: Stopped) -> None:
    """Say of a job that has no checkpoint that a signal stopped it."""
    from qsnn.config.run import record_refusal

    reason = f"stopped by {signal.Signals(stop.args[0]).name} before it trained"
    record_refusal(folder, cfg, overrides, reason, status="stopped")


def _failed_job(folder: Path, reason: str, minimised: bool) -> float:
    """The end of a job that failed: nothing more to say where its folder tells why."""
    log.error("error: %s", reason)
    if minimised or not is_told(folder, reason):
        raise CompactHydraException(f"error: {reason}")
    return NOT_RUN


def is_told(folder: Path, reason: str) -> bool:
    """Whether the folder of a job that failed says why."""
    from qsnn.training.runs import read_job

    return read_job(folder).reason() == reason
