"""What a run tells while it trains: progress bar, console, metrics.jsonl, TensorBoard, pictures."""

import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

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
from qsnn.reporting.metrics_file import append_metrics, open_metrics
from qsnn.reporting.pictures import confusion_picture, rasters, write_picture, write_raster
from qsnn.training.run import Ending, Epoch, Look, Run

if TYPE_CHECKING:
    from qsnn.reporting.tensorboard_log import TensorBoardLog

log = logging.getLogger(__name__)
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {unit} {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
Self = TypeVar("Self", bound="Reporter")
CostsOf = Callable[[Ending], dict[str, float]]
"""What a run that ends so costs, by tag; whoever makes the reporter knows it."""


class LoggingSettings(NamedTuple):
    """Epochs between two writings of each kind; 0 switches a kind off. Logged are epoch 1 and every k-th."""

    metrics_every: int
    health_every: int
    raster_every: int
    histogram_every: int
    tensorboard: bool
    progress: bool
    limits: Limits


def _open_board(run: RunIdentity) -> "TensorBoardLog":
    """The run's TensorBoard log. Its package is imported only here: runs without a log do not need it."""
    from qsnn.reporting.tensorboard_log import TensorBoardLog

    return TensorBoardLog(run.folder, run.epoch, run.config_text, run.hyperparameters)


class Reporter:
    """Context manager around the training of a run."""

    def __init__(self, run: RunIdentity, settings: LoggingSettings, costs: CostsOf = lambda ending: {}) -> None:
        self._settings, self._folder, self._remedies, self._costs = settings, run.folder, run.remedies, costs
        self._metrics = open_metrics(run.folder / "metrics.jsonl", run.epoch)
        self._compiled = compile_seconds()
        self._board = _open_board(run) if settings.tensorboard else None
        interval = 0.2 if sys.stderr.isatty() else 10.0
        self._bar = tqdm(
            total=run.total, initial=run.position, desc="starting", unit=run.unit, mininterval=interval, maxinterval=interval,
            disable=not settings.progress, bar_format=BAR_FORMAT, dynamic_ncols=True,
        )  # fmt: skip
        self._redirect = logging_redirect_tqdm()
        self._warned: set[str] = set()

    def __enter__(self: Self) -> Self:
        self._redirect.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        with ExitStack() as closing:  # each, even if one fails; a full disk fails several
            if self._board:
                closing.callback(self._board.close)
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

    def wants_health(self, epoch: int) -> bool:
        """Whether the health of the quantization is due in ``epoch``."""
        return self._due(self._settings.health_every, epoch)

    def wants_figures(self, epoch: int) -> bool:
        """Whether the figures of ``epoch`` are due, or are written because health is."""
        return self._due(self._settings.metrics_every, epoch) or self.wants_health(epoch)

    def after_epoch(self, run: Run, lesson: Any, epoch: Epoch) -> None:
        """Write what is due in the epoch that has just ended with ``lesson``."""
        number, settings = run.state.epoch, self._settings
        histograms = self._board is not None and self._due(settings.histogram_every, number)
        health = self.wants_health(number)
        observed = observe(run.learner, run, lesson, health) if health or histograms else Observation({}, {})
        if epoch.headline:
            self._bar.set_postfix_str(epoch.headline, refresh=False)
        if epoch.figures is not None:
            found = observed.health if health else {}
            tags = tags_of(epoch.figures, list(run.state.largest_codes))
            self._write(number, {**epoch.figures, **found}, tags | {f"health/{key}": v for key, v in found.items()})
            self._warn(found, number)
        self._confusion(run, "validation", epoch.confusion)
        if histograms:
            self._histograms(run, observed)
        if self._board and self._due(settings.raster_every, number):
            self._rasters(epoch.look(), number)

    def _histograms(self, run: Run, observed: Observation) -> None:
        """Codes of weights and states (values, in full precision)."""
        stored = {
            f"weight/{name}": (w.detach(), symmetric(bits))
            for name, (w, bits) in run.state.model.stored_weights().items()
        }
        for tag, (raw, fmt) in {**stored, **observed.histograms}.items():
            if self._board:
                self._board.histogram(tag, raw, fmt, run.state.epoch)

    def _rasters(self, look: Look, epoch: int) -> None:
        for name, picture in rasters(look).items():
            if self._board:
                self._board.picture(f"raster/{name}", picture, epoch)

    def _confusion(self, run: Run, part: str, counts: Tensor | None) -> None:
        if self._board and counts is not None:
            picture = confusion_picture(counts.numpy(), run.task.classes)
            self._board.picture(f"confusion/{part}", picture, run.state.epoch)

    def finish(self, run: Run, ending: Ending) -> None:
        """raster.png and, where there are classes, confusion.png (of the best weights, or the last if none are best); rates and
        predictions; in TensorBoard scores and costs for the HParams table, and the last pictures."""
        write_pictures(run, ending)
        if ending.detail is not None:
            write_detail(run.folder, ending.detail)
        if self._board:
            self._board.scalars({**ending.scores, **self._costs(ending)}, run.state.epoch)
            self._confusion(run, "test", ending.confusion)
            if self._settings.raster_every:
                self._rasters(ending.look, run.state.epoch)

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
        """One line of metrics.jsonl, and points in TensorBoard."""
        append_metrics(self._metrics, {"epoch": epoch, **record})
        if self._board:
            self._board.scalars(scalars, epoch)

    def flush(self) -> None:
        """Before a checkpoint: everything up to it is on the disk."""
        if self._board:
            self._board.flush()


def tags_of(figures: dict[str, float], layers: list[str]) -> dict[str, float]:
    """Figures under the tags of TensorBoard: ``<figure>/<layer>``, and ``loss/<figure>`` for those of the whole net."""
    tags = {}
    for key, value in figures.items():
        layer = next((name for name in layers if key.endswith(f"_{name}")), None)
        tags[f"loss/{key}" if layer is None else f"{key.removesuffix(f'_{layer}')}/{layer}"] = value
    return tags


def write_pictures(run: Run, ending: Ending) -> None:
    """raster.png and, where there are classes, confusion.png."""
    write_raster(run.folder / "raster.png", ending.look)
    if ending.confusion is not None:
        write_picture(run.folder / "confusion.png", confusion_picture(ending.confusion.numpy(), run.task.classes))
