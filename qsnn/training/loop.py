"""The loop that every kind of run shares: work until the last epoch or an interruption, checkpoints, and the end."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from qsnn.training.checkpoint import BEST, save_checkpoint, save_last
from qsnn.training.interrupt import StopRequest
from qsnn.training.reporter import Reporter


class Outcome(NamedTuple):
    """How a run ended, "finished" or "stopped" (by which signal); scores of the last and of the best weights."""

    status: str
    signal_number: int
    final: dict[str, Any]
    best: dict[str, Any]
    seconds: float


class State(Protocol):
    """What a run remembers: ``epoch`` counts finished ones, ``seconds`` the time in training."""

    epoch: int
    seconds: float

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values only."""

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""


R = TypeVar("R", bound=Reporter, contravariant=True)


class Run(Protocol[R]):
    """What the loop works on. ``facts``: plain values that every checkpoint carries, such as the config."""

    @property
    def state(self) -> Any:
        """A `State`."""

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

    def best_checkpoint(self) -> dict[str, Any] | None:
        """The best weights and their epoch, for checkpoints/best.pt."""

    def conclude(self, reporter: R, stopped: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Scores of the last and of the best weights; pictures of the end."""


def save(run: Run[Any]) -> None:
    """Write checkpoints/best.pt and last.pt, and keep the last.pt before as previous.pt.

    The best weights are in best.pt and last.pt, so that the two cannot disagree.
    """
    folder, content, best = run.folder / "checkpoints", {**run.state.state_dict(), **run.facts}, run.best_checkpoint()
    if best is not None:
        save_checkpoint(folder / BEST, {**best, **run.facts})
    save_last(folder, content)


def _advance(run: Run[R], reporter: R, began: float) -> None:
    """One piece, and a checkpoint if one is due; ``began``: when the run would have, had it never paused."""
    due = run.advance(reporter)
    run.state.seconds = time.perf_counter() - began
    if due and not run.finished():
        reporter.flush()
        save(run)


def _advance_to_the_end(run: Run[R], reporter: R) -> int:
    """Train until the last epoch or a signal, with a checkpoint every so often and at the end. The signal, or 0."""
    began = time.perf_counter() - run.state.seconds
    if not run.finished():
        _advance(run, reporter, began)  # may compile for a minute: until here a signal ends the command at once
    with StopRequest() as stop:
        while not run.finished() and not stop.signal_number:
            _advance(run, reporter, began)
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
        final, best = run.conclude(reporter, bool(signal_number))
    return Outcome("stopped" if signal_number else "finished", signal_number, final, best, run.state.seconds)
