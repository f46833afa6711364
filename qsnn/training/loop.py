"""The run: epochs, checkpoints, interruptions, and what is left in the folder at the end."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from qsnn.data import Pattern
from qsnn.dynamics import schedule_factor
from qsnn.losses import VanRossumDistance
from qsnn.training.bptt import GradientRounding, StepResult, evaluate, score, train_step
from qsnn.training.checkpoint import BEST, LAST, save_checkpoint
from qsnn.training.interrupt import StopRequest
from qsnn.training.pictures import write_raster
from qsnn.training.reporter import Reporter
from qsnn.training.state import TrainingState

log = logging.getLogger(__name__)


class TrainerSettings(NamedTuple):
    """``epochs`` in all, ``checkpoint_every`` so many of them (and at the end, and when the run is stopped).

    Schedules: see `qsnn.dynamics.schedules`; they depend on the epoch alone, so that a resumed run follows them.
    """

    epochs: int
    checkpoint_every: int
    rounding: GradientRounding
    lr_schedule: str
    eta_schedule: str
    num_halvings: int

    def factor(self, schedule: str, epoch: int) -> float:
        """What ``schedule`` multiplies its learning rate by in ``epoch``."""
        return schedule_factor(schedule, epoch, self.epochs, self.num_halvings)

    def rounding_in(self, epoch: int) -> GradientRounding:
        """Gradient rounding with the eta of ``epoch``."""
        return self.rounding._replace(eta=self.rounding.eta * self.factor(self.eta_schedule, epoch))


class Outcome(NamedTuple):
    """How a run ended, "finished" or "stopped" (by which signal); scores of the last and of the best weights."""

    status: str
    signal_number: int
    final: dict[str, float]
    best: dict[str, float]
    seconds: float


class Run(NamedTuple):
    """Everything that the loop works on. ``facts``: plain values that every checkpoint carries, such as the config."""

    state: TrainingState
    pattern: Pattern
    loss: VanRossumDistance
    settings: TrainerSettings
    folder: Path
    facts: dict[str, Any]

    def save(self) -> None:
        """Write checkpoints/best.pt and last.pt. The best weights are in both, so that the two cannot disagree."""
        content = {**self.state.state_dict(), **self.facts}
        if self.state.best is not None:
            best = {"model": self.state.best.weights, "epoch": self.state.best.epoch, **self.facts}
            save_checkpoint(self.folder / "checkpoints" / BEST, best)
        save_checkpoint(self.folder / "checkpoints" / LAST, content)


def train_epoch(run: Run, keep_errors: bool = False) -> tuple[StepResult, GradientRounding]:
    """The run's next epoch, at the learning rates that its schedules give; what it measured and how it rounded."""
    state, settings = run.state, run.settings
    epoch = state.epoch + 1
    rounding = settings.rounding_in(epoch)
    lr_factor = settings.factor(settings.lr_schedule, epoch)
    return train_step(state, run.pattern, run.loss, rounding, lr_factor, keep_errors), rounding


def _epochs(run: Run, reporter: Reporter, stop: StopRequest) -> None:
    """Train until the last epoch or a stop request, with a checkpoint every so often and at the end."""
    state, settings = run.state, run.settings
    began = time.perf_counter() - state.seconds
    while state.epoch < settings.epochs and not stop.signal_number:
        keep_errors = reporter.wants_health(state.epoch + 1)
        step, rounding = train_epoch(run, keep_errors)
        state.seconds = time.perf_counter() - began
        reporter.after_epoch(state, step, run.pattern, rounding)
        if state.epoch % settings.checkpoint_every == 0 and state.epoch < settings.epochs:
            reporter.flush()
            run.save()
    reporter.flush()
    run.save()


def train(run: Run, make_reporter: Callable[[], Reporter]) -> Outcome:
    """Train to the end, or until Ctrl-C or SIGTERM; write raster.png and return the scores.

    Raises NonFiniteError if a tensor stops being finite; the checkpoints on the disk are from before that.
    """
    state = run.state
    with StopRequest() as stop:
        if state.epoch == 0:
            run.save()  # from here on there is always a checkpoint to resume from
        with make_reporter() as reporter:
            _epochs(run, reporter, stop)
            final, activity = evaluate(state.model, run.pattern, run.loss)
            best = _best_score(run)
            scores = {"loss/final_distance": final["distance"], "loss/best_distance": best["distance"]}
            reporter.finish(scores, activity, run.pattern, state.epoch)
    title = f"epoch {state.epoch}, distance {final['distance']:.1f} ({final['relative_distance']:.1%} of silence)"
    write_raster(run.folder / "raster.png", activity, run.pattern.target, title)
    status = "stopped" if stop.signal_number else "finished"
    return Outcome(status, stop.signal_number, final, best, state.seconds)


def _best_score(run: Run) -> dict[str, float]:
    """Epoch and distance of the best weights."""
    best = run.state.best
    if best is None:
        return {"distance": float("inf"), "relative_distance": float("inf"), "epoch": 0}
    return {"epoch": best.epoch, **score(best.distance, run.loss.of_silence(run.pattern.target))}
