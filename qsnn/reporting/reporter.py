"""What a run tells while it trains: progress bar, console, metrics.jsonl, loggers such as TensorBoard, pictures."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from qsnn.errors import naming
from qsnn.kernels.compile_time import compile_seconds
from qsnn.quantization import symmetric
from qsnn.reporting.evaluation_files import write_detail
from qsnn.reporting.health.figures import Limits, Observation, crossed_limits
from qsnn.reporting.health.observe import observe
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.loggers.names import FAILED, FINISHED, STOPPED
from qsnn.reporting.loggers.opening import open_loggers
from qsnn.reporting.loggers.protocol import Logger
from qsnn.reporting.metrics_file import append_metrics, open_metrics
from qsnn.reporting.pictures import confusion_picture, rasters, write_picture, write_raster
from qsnn.reporting.tags import tags_of
from qsnn.training.interrupt import Stopped
from qsnn.training.run import Ending, Epoch, Look, Run

log = logging.getLogger(__name__)
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {unit} {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
Self = TypeVar("Self", bound="Reporter")
CostsOf = Callable[[Ending], dict[str, float]]
"""What a run that ends so costs, by tag; whoever makes the reporter knows it."""


class LoggingSettings(NamedTuple):
    """Epochs between two writings of each kind; 0 switches a kind off. Logged are epoch 1 and every k-th. ``to``: names of
    loggers."""

    metrics_every: int
    health_every: int
    raster_every: int
    histogram_every: int
    to: Sequence[str]
    progress: bool
    limits: Limits


class Reporter:
    """Context manager around the training of a run."""

    def __init__(self, run: RunIdentity, settings: LoggingSettings, costs: CostsOf = lambda ending: {}) -> None:
        self._settings, self._folder, self._remedies, self._costs = settings, run.folder, run.remedies, costs
        self._metrics = open_metrics(run.folder / "metrics.jsonl", run.epoch)
        self._compiled = compile_seconds()
        self._loggers: list[Logger] = open_loggers(settings.to, run)
        interval = 0.2 if sys.stderr.isatty() else 10.0
        self._bar = tqdm(
            total=run.total, initial=run.position, desc="starting", unit=run.unit, mininterval=interval, maxinterval=interval,
            disable=not settings.progress, bar_format=BAR_FORMAT, dynamic_ncols=True,
        )  # fmt: skip
        self._redirect = logging_redirect_tqdm()
        self._warned: set[str] = set()
        self._end = STOPPED

    def __enter__(self: Self) -> Self:
        self._redirect.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        with ExitStack() as closing:  # each, even if one fails; a full disk fails several
            for logger in self._loggers:
                closing.callback(logger.close, _end_of(exception, self._end))
            closing.enter_context(naming(Path(self._metrics.name)))
            closing.callback(self._metrics.close)
            closing.callback(self._redirect.__exit__, *exception)
            closing.callback(self._bar.close)

    def after_batch(self, headline: str) -> None:
        """Move the bar one piece further. What kernels took to compile is no time of the bar's: it would spoil its rate."""
        compiled = compile_seconds()
        if not self._bar.disable:
            self._bar.set_description_str("training", refresh=False)
            self._bar.start_t += compiled - self._compiled
            self._bar.last_print_t += compiled - self._compiled
        self._compiled = compiled
        self._bar.update(1)
        if headline:
            self._bar.set_postfix_str(headline, refresh=False)

    def _due(self, every: int, epoch: int) -> bool:
        # Not the last epoch as such: a run that is resumed to go on further must log what a longer run would have.
        return every > 0 and (epoch == 1 or epoch % every == 0)

    def _showing(self, what: str) -> list[Logger]:
        """The loggers that show ``pictures`` or ``histograms``."""
        return [logger for logger in self._loggers if getattr(logger, f"shows_{what}")]

    def wants_health(self, epoch: int) -> bool:
        """Whether the health of the quantization is due in ``epoch``."""
        return self._due(self._settings.health_every, epoch)

    def wants_figures(self, epoch: int) -> bool:
        """Whether the figures of ``epoch`` are due, or are written because health is."""
        return self._due(self._settings.metrics_every, epoch) or self.wants_health(epoch)

    def after_epoch(self, run: Run, lesson: Any, epoch: Epoch) -> None:
        """Write what is due in the epoch that has just ended with ``lesson``."""
        number, settings = run.state.epoch, self._settings
        histograms = bool(self._showing("histograms")) and self._due(settings.histogram_every, number)
        health = self.wants_health(number)
        observed = observe(run.learner, run, lesson, health) if health or histograms else Observation({}, {})
        if epoch.headline:
            self._bar.set_postfix_str(epoch.headline, refresh=False)
        if epoch.figures is not None:
            found = observed.health if health else {}
            tags = tags_of({**epoch.figures, **found}, list(run.state.largest_codes))
            self._write(number, {**epoch.figures, **found}, tags)
            self._warn(found, number)
        self._confusion(run, "validation", epoch.confusion)
        if histograms:
            self._histograms(run, observed)
        if self._showing("pictures") and self._due(settings.raster_every, number):
            self._rasters(epoch.look(), number)

    def _histograms(self, run: Run, observed: Observation) -> None:
        """Codes of weights and states (values, in full precision)."""
        stored = {
            f"weight/{name}": (w.detach(), symmetric(bits))
            for name, (w, bits) in run.state.model.stored_weights().items()
        }
        for tag, (raw, fmt) in {**stored, **observed.histograms}.items():
            for logger in self._showing("histograms"):
                logger.histogram(tag, raw, fmt, run.state.epoch)

    def _rasters(self, look: Look, epoch: int) -> None:
        for name, picture in rasters(look).items():
            for logger in self._showing("pictures"):
                logger.picture(f"raster/{name}", picture, epoch)

    def _confusion(self, run: Run, part: str, counts: Tensor | None) -> None:
        showing = self._showing("pictures")
        if showing and counts is not None:
            picture = confusion_picture(counts.numpy(), run.task.classes)
            for logger in showing:
                logger.picture(f"confusion/{part}", picture, run.state.epoch)

    def finish(self, run: Run, ending: Ending) -> None:
        """raster.png and, where there are classes, confusion.png (of the best weights, or the last if none are best); rates and
        predictions; in the loggers scores and costs, of TensorBoard for the HParams table, and the last pictures."""
        write_pictures(run, ending)
        if ending.detail is not None:
            write_detail(run.folder, ending.detail)
        costs = self._costs(ending) if self._loggers else {}
        for logger in self._loggers:
            logger.scores({**ending.scores, **costs}, run.state.epoch)
        self._confusion(run, "test", ending.confusion)
        if self._showing("pictures") and self._settings.raster_every:
            self._rasters(ending.look, run.state.epoch)
        self._end = FINISHED if run.finished() else STOPPED

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
                "epoch %d: %s of %s is %.1f %%, above logging.limits.%s=%g%s",
                epoch, figure.replace("_", "-"), key.rsplit("/", 1)[0], 100 * health[key], figure, limit,
                f"; {self._remedies[figure]}" if figure in self._remedies else "",
            )  # fmt: skip
        self._warned = crossed

    def _write(self, epoch: int, record: dict[str, float], scalars: dict[str, float]) -> None:
        """One line of metrics.jsonl, and points in the loggers."""
        append_metrics(self._metrics, {"epoch": epoch, **record})
        for logger in self._loggers:
            logger.scalars(scalars, epoch)

    def flush(self) -> None:
        """Before a checkpoint: everything up to it is on the disk."""
        for logger in self._loggers:
            logger.flush()


def _end_of(exception: Sequence[object], otherwise: str) -> str:
    """How a run ended that an exception, of the triple that ``__exit__`` gets, ended early."""
    kind = exception[0] if exception else None
    if not isinstance(kind, type):
        return otherwise
    return STOPPED if issubclass(kind, Stopped | KeyboardInterrupt) else FAILED


def write_pictures(run: Run, ending: Ending) -> None:
    """raster.png and, where there are classes, confusion.png."""
    write_raster(run.folder / "raster.png", ending.look)
    if ending.confusion is not None:
        write_picture(run.folder / "confusion.png", confusion_picture(ending.confusion.numpy(), run.task.classes))
