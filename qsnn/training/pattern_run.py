"""A run of the pattern experiment: one epoch at a time over one pattern."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from qsnn.data.sources.pattern import Pattern
from qsnn.dynamics import schedule_factor
from qsnn.losses import VanRossumDistance
from qsnn.models import Activity
from qsnn.training.bptt import GradientRounding, StepResult, evaluate, score, train_step
from qsnn.training.loop import Reporter
from qsnn.training.state import Best, TrainingState


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


class PatternReporter(Reporter, Protocol):
    """What a pattern run tells."""

    def wants_health(self, epoch: int) -> bool:
        """Whether `after_epoch` will ask for the errors of ``epoch``, which are kept only then."""

    def after_epoch(self, state: TrainingState, step: StepResult, pattern: Pattern, rounding: GradientRounding) -> None:
        """``step`` has finished an epoch."""

    def finish(self, scores: dict[str, float], activity: Activity, pattern: Pattern, epoch: int) -> None:
        """Scores and spikes of the trained net."""


class PatternRun(NamedTuple):
    """Everything that the loop works on. ``facts``: plain values that every checkpoint carries, such as the config."""

    state: TrainingState
    pattern: Pattern
    loss: VanRossumDistance
    settings: TrainerSettings
    folder: Path
    facts: dict[str, Any]

    def started(self) -> bool:
        """Whether an epoch is done."""
        return self.state.epoch > 0

    def finished(self) -> bool:
        """Whether the last epoch is done."""
        return self.state.epoch >= self.settings.epochs

    def advance(self, reporter: PatternReporter) -> bool:
        """Train and report one epoch; whether a checkpoint is due."""
        step, rounding = train_epoch(self, reporter.wants_health(self.state.epoch + 1))
        reporter.after_epoch(self.state, step, self.pattern, rounding)
        return self.state.epoch % self.settings.checkpoint_every == 0

    def layout(self) -> dict[str, Any]:
        """What a checkpoint of this run looks like, beside `facts`."""
        return self.state.layout()

    def best_so_far(self) -> Best | None:
        """The best weights, the present ones included: one more pass a checkpoint, that of the next epoch. Of equals the
        earlier ones. None before the first epoch."""
        state = self.state
        if state.best is None:
            return None
        now = state.model.gradients(self.pattern.input, self.pattern.target, self.loss.decay, self.loss.tau).distance
        if not now < state.best.distance:
            return state.best
        return Best(state.epoch, now, {name: tensor.detach() for name, tensor in state.model.state_dict().items()})

    def best_at_the_end(self) -> Best | None:
        """The same."""
        return self.best_so_far()

    def conclude(
        self, reporter: PatternReporter, stopped: bool, best: Best | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Scores of the last and of the best weights, which are told as well."""
        state = self.state
        final, activity = evaluate(state.model, self.pattern, self.loss)
        reached = {} if best is None else _best_score(self, best)
        scores = {"final/distance": final["distance"]}
        if best is not None:
            scores["best/distance"] = best.distance
        reporter.finish(scores, activity, self.pattern, state.epoch)
        return final, reached


def train_epoch(run: PatternRun, keep_errors: bool = False) -> tuple[StepResult, GradientRounding]:
    """The run's next epoch, at the learning rates that its schedules give; what it measured and how it rounded."""
    state, settings = run.state, run.settings
    epoch = state.epoch + 1
    rounding = settings.rounding_in(epoch)
    lr_factor = settings.factor(settings.lr_schedule, epoch)
    return train_step(state, run.pattern, run.loss, rounding, lr_factor, keep_errors), rounding


def _best_score(run: PatternRun, best: Best) -> dict[str, float]:
    """Epoch and distance of the best weights."""
    return {"epoch": best.epoch, **score(best.distance, run.loss.of_silence(run.pattern.target))}
