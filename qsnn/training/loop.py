"""The loop that every kind of run shares: work until the last epoch or an interruption, checkpoints, and the end."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from qsnn.training.checkpoint import BEST, save_checkpoint, save_last
from qsnn.training.clock import Clock
from qsnn.training.interrupt import StopRequest

log = logging.getLogger(__name__)
Self = TypeVar("Self")
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


class State(Protocol):
    """What a run remembers: ``epoch`` counts finished ones, ``seconds`` the time in training, ``seconds_start`` that for
    compiling kernels."""

    epoch: int
    seconds: float
    seconds_start: float

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""


class Reporter(Protocol):
    """What the loop needs of whoever tells of a run (`qsnn.reporting`): a context manager around training. Each kind of run
    says beside itself what else it tells its own."""

    def __enter__(self: Self) -> Self:
        """Open what is written to."""

    def __exit__(self, *exception: object) -> None:
        """Close it."""

    def flush(self) -> None:
        """Before a checkpoint: everything up to it is on the disk."""


R = TypeVar("R", bound=Reporter, contravariant=True)


class BestWeights(Protocol):
    """The best weights of a run, and how many epochs they had finished."""

    @property
    def epoch(self) -> int:
        """See above."""

    @property
    def weights(self) -> dict[str, Any]:
        """As the net's ``state_dict``."""


class Run(Protocol[R]):
    """What the loop works on. ``facts``: plain values that every checkpoint carries, such as the config."""

    @property
    def state(self) -> Any:
        """A `State`."""

    @property
    def settings(self) -> Any:
        """How it learns; ``rounding`` among them."""

    @property
    def folder(self) -> Path:
        """Where everything is written."""

    @property
    def facts(self) -> dict[str, Any]:
        """See above."""

    def started(self) -> bool:
        """Whether anything was trained."""

    def finished(self) -> bool:
        """Whether the last epoch is done."""

    def advance(self, reporter: R) -> bool:
        """Train one piece (between two pieces a run can stop) and report it; whether a checkpoint is due."""

    def layout(self) -> dict[str, Any]:
        """What a checkpoint of this run looks like, beside `facts` (`qsnn.training.checkpoint_layout`)."""

    def best_so_far(self) -> Any:
        """The `BestWeights` of a checkpoint under way; None if nothing is measured yet. Changes nothing of the state."""

    def best_at_the_end(self) -> Any:
        """The `BestWeights` in the end: those of after the last update compete. They do not enter the state, so that a run
        that goes on from its last checkpoint does what it would have done without ending here."""

    def conclude(self, reporter: R, stopped: bool, best: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Scores of the last weights and of ``best``, which `best_at_the_end` gave; pictures of the end."""


def save(run: Run[Any]) -> None:
    """Write checkpoints/best.pt and last.pt, and keep the last.pt before as previous.pt."""
    content = {**run.state.state_dict(), **run.facts}
    save_best(run, run.best_so_far())
    save_last(run.folder / "checkpoints", content)


def save_best(run: Run[Any], best: BestWeights | None) -> None:
    """Write checkpoints/best.pt, if there are best weights."""
    if best is not None:
        content = {"model": best.weights, "epoch": best.epoch, **run.facts}
        save_checkpoint(run.folder / "checkpoints" / BEST, content)


def _advance(run: Run[R], reporter: R, clock: Clock) -> float:
    """One piece, and a checkpoint if one is due; the seconds that this session has spent on compiling."""
    due = run.advance(reporter)
    compiled = clock.read(run.state)
    if due and not run.finished():
        reporter.flush()
        save(run)
    return compiled


def _advance_to_the_end(run: Run[R], reporter: R) -> int:
    """Train until the last epoch or a signal, with a checkpoint every so often and at the end. The signal, or 0."""
    clock = Clock(run.state)
    if not run.finished():
        compiled = _advance(
            run, reporter, clock
        )  # may compile for a minute: until here a signal ends the command at once
        if compiled >= TOLD_FROM:
            log.info("kernels are ready: %.1f s to compile them or to load them from disk", compiled)
    with StopRequest() as stop:
        while not run.finished() and not stop.signal_number:
            _advance(run, reporter, clock)
        reporter.flush()
        save(run)
    return stop.signal_number


def train(run: Run[R], make_reporter: Callable[[], R]) -> Outcome:
    """Train to the end, or until Ctrl-C or SIGTERM; write the pictures and return the scores.

    Raises:
        NonFiniteError: a tensor stops being finite; the checkpoints on the disk are from before that.
        Stopped: a signal in the first piece, which loses nothing, or after the end of training, when all is saved.
    """
    if not run.started():
        save(run)  # from here on there is always a checkpoint to resume from
    with make_reporter() as reporter:
        signal_number = _advance_to_the_end(run, reporter)
        winner = run.best_at_the_end()  # after a checkpoint: it may take a while
        save_best(run, winner)
        final, best = run.conclude(reporter, bool(signal_number), winner)
    status, state = "stopped" if signal_number else "finished", run.state
    return Outcome(status, signal_number, final, best, state.seconds, state.seconds_start)
