"""What a run tells while it trains: progress bar, console warnings, metrics.jsonl and TensorBoard."""

import logging
import sys
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from qsnn.data import Pattern
from qsnn.models import PatternNetActivity
from qsnn.training.bptt import GradientRounding, StepResult, firing_rates, score
from qsnn.training.health import Limits, crossed_limits, measure_health
from qsnn.training.metrics_file import append_metrics, open_metrics
from qsnn.training.state import TrainingState
from qsnn.training.tensorboard_log import HParam, TensorBoardLog

log = logging.getLogger(__name__)
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| epoch {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class LoggingSettings(NamedTuple):
    """Epochs between two writings of each kind; 0 switches a kind off. Logged are epoch 1 and every k-th."""

    metrics_every: int
    health_every: int
    raster_every: int
    histogram_every: int
    tensorboard: bool
    progress: bool
    limits: Limits


class Reporter:
    """Context manager around the epochs of a run in ``folder``, from ``state.epoch`` on to ``epochs``."""

    def __init__(
        self,
        folder: Path,
        state: TrainingState,
        epochs: int,
        settings: LoggingSettings,
        silent_distance: float,
        config_text: str,
        hyperparameters: dict[str, HParam],
    ) -> None:
        self._settings, self._silent_distance = settings, silent_distance
        self._warned: set[str] = set()
        self._metrics = open_metrics(folder / "metrics.jsonl", state.epoch)
        self._board = (
            TensorBoardLog(folder, state.epoch, config_text, hyperparameters) if settings.tensorboard else None
        )
        interval = 0.2 if sys.stderr.isatty() else 10.0
        self._bar = tqdm(
            total=epochs, initial=state.epoch, desc="training", unit="epoch", mininterval=interval, maxinterval=interval,
            disable=not settings.progress, bar_format=BAR_FORMAT, dynamic_ncols=True,
        )  # fmt: skip
        self._redirect = logging_redirect_tqdm()

    def __enter__(self) -> "Reporter":
        self._redirect.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()
        self._redirect.__exit__(*exception)
        self._metrics.close()
        if self._board:
            self._board.close()

    def _due(self, every: int, epoch: int) -> bool:
        # Not the last epoch as such: a run that is resumed to go on further must log what a longer run would have.
        return every > 0 and (epoch == 1 or epoch % every == 0)

    def wants_health(self, epoch: int) -> bool:
        """Whether the step of ``epoch`` must keep its errors for `after_epoch`."""
        return self._due(self._settings.health_every, epoch)

    def after_epoch(self, state: TrainingState, step: StepResult, pattern: Pattern, rounding: GradientRounding) -> None:
        """Write what is due in the epoch that ``step`` finished."""
        epoch, settings = state.epoch, self._settings
        self._bar.update(1)
        if self._due(settings.metrics_every, epoch) or self.wants_health(epoch):
            self._write_metrics(state, step, rounding)
        if self._board and self._due(settings.raster_every, epoch):
            self._board.rasters(step.activity, pattern.input, pattern.target, epoch)
        if self._board and self._due(settings.histogram_every, epoch):
            self._board.histograms(state.model, step.activity, epoch)

    def _write_metrics(self, state: TrainingState, step: StepResult, rounding: GradientRounding) -> None:
        quality = score(step.distance, self._silent_distance)
        rates = firing_rates(step.activity)
        norms = {f"gradient_norm_{name}": g.norm().item() for name, g in step.gradients.items()}
        health = measure_health(state, step, rounding) if self.wants_health(state.epoch) else {}
        append_metrics(self._metrics, {"epoch": state.epoch, **quality, **rates, **norms, **health})
        self._bar.set_postfix_str(
            f"distance={step.distance:.1f}, hidden={rates['rate_hidden']:.1%}, output={rates['rate_output']:.1%}",
            refresh=False,
        )
        self._warn(health, state.epoch)
        if self._board:
            tags = {f"loss/{key}": value for key, value in quality.items()}
            tags |= {key.replace("_", "/", 1): value for key, value in rates.items()}
            tags |= {key.replace("gradient_norm_", "gradient_norm/"): value for key, value in norms.items()}
            tags |= {f"health/{key}": value for key, value in health.items()}
            self._board.scalars(tags, state.epoch)

    def _warn(self, health: dict[str, float], epoch: int) -> None:
        """One line for each figure when it crosses its limit, not again while it stays above."""
        if not health:
            return
        crossed = set(crossed_limits(health, self._settings.limits))
        if epoch == 1:  # one update cannot have changed many codes
            crossed = {key for key in crossed if not key.endswith("/never_changed")}
        for key in sorted(crossed - self._warned):
            figure = key.rsplit("/", 1)[1]
            limit = getattr(self._settings.limits, figure)
            log.warning(
                "epoch %d: %s of %s is %.1f %%, above logging.limits.%s=%g",
                epoch, figure.replace("_", "-"), key.rsplit("/", 1)[0], 100 * health[key], figure, limit,
            )  # fmt: skip
        self._warned = crossed

    def finish(self, scores: dict[str, float], activity: PatternNetActivity, pattern: Pattern, epoch: int) -> None:
        """What TensorBoard shows of the trained net: its scores, for the HParams table, and its rasters."""
        if self._board:
            self._board.scalars(scores, epoch)
            if self._settings.raster_every:
                self._board.rasters(activity, pattern.input, pattern.target, epoch)

    def flush(self) -> None:
        """Before a checkpoint: everything up to it is on the disk."""
        if self._board:
            self._board.flush()
