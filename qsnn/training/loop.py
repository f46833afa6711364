"""The loop: work until the last epoch or an interruption, checkpoints, and the end."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from qsnn.training.checkpoint import BEST, save_checkpoint, save_last
from qsnn.training.clock import Clock
from qsnn.training.interrupt import StopRequest
from qsnn.training.run import Reporter, Run
from qsnn.training.state import Best

log = logging.getLogger(__name__)
TOLD_FROM = 1.0  # seconds of compiling that are worth a line


class Outcome(NamedTuple):
    """How a run ended, "finished" or "stopped" (by which signal); scores of the last and of the best weights (empty if
    there are none to choose among); seconds in training, and those for compiling kernels, which are not among them."""

    status: str
    signal_number: int
    final: dict[str, Any]
    best: dict[str, Any]
    seconds: float
    seconds_start: float


def save(run: Run) -> None:
    """Write checkpoints/best.pt and last.pt, and keep the last.pt before as previous.pt; of processes that share a run one
    does."""
    if run.workers.leads:
        write(run, run.task.best_so_far(run))


def write(run: Run, best: Best | None) -> None:
    """The same, the best weights being known."""
    save_best(run, best)
    save_last(run.folder / "checkpoints", {**run.state.state_dict(), **run.facts})


def save_best(run: Run, best: Best | None) -> None:
    """Write checkpoints/best.pt, if there are best weights."""
    if best is not None and run.workers.leads:
        content = {"model": best.weights, "epoch": best.epoch, **run.facts}
        save_checkpoint(run.folder / "checkpoints" / BEST, content)


def _advance(run: Run, reporter: Reporter, clock: Clock) -> float:
    """One piece, and a checkpoint if one is due; the seconds that this session has spent on compiling."""
    due = run.advance(reporter)
    compiled = clock.read(run.state)
    if due and not run.finished():
        reporter.flush()
        save(run)
    return compiled


def _advance_to_the_end(run: Run, reporter: Reporter) -> int:
    """Train until the last epoch or a signal, with a checkpoint every so often and at the end. The signal, or 0."""
    clock = Clock(run.state)
    if not run.finished():
        compiled = _advance(
            run, reporter, clock
        )  # may compile for a minute: until here a signal ends the command at once
        if compiled >= TOLD_FROM:
            log.info("kernels are ready: %.1f s to compile them or to load them from disk", compiled)
    with StopRequest() as stop:
        number = run.workers.agreed(stop.signal_number)  # all stop after the same batch
        while not run.finished() and not number:
            _advance(run, reporter, clock)
            number = run.workers.agreed(stop.signal_number)
        reporter.flush()
        save(run)
    return number


def train(run: Run, make_reporter: Callable[[], Reporter]) -> Outcome:
    """Train to the end, or until Ctrl-C or SIGTERM; write the pictures and return the scores.

    Raises:
        NonFiniteError: a tensor stops being finite; the checkpoints on the disk are from before that.
        Stopped: a signal in the first piece, which loses nothing, or after the end of training, when all is saved.
    """
    if not run.started():
        save(run)  # from here on there is always a checkpoint to resume from
    with make_reporter() as reporter:
        signal_number = _advance_to_the_end(run, reporter)
        winner = run.task.best_at_the_end(run)  # after a checkpoint: it may take a while
        save_best(run, winner)
        final, best, ending = run.task.conclude(run, bool(signal_number), winner)
        if ending is not None:
            reporter.finish(run, ending)
    status, state = "stopped" if signal_number else "finished", run.state
    return Outcome(status, signal_number, final, best, state.seconds, state.seconds_start)
