"""What every run tells while it trains: progress bar, console, metrics.jsonl and TensorBoard."""

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from qsnn.errors import naming
from qsnn.kernels.compile_time import compile_seconds
from qsnn.reporting.health import Limits, crossed_limits
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.metrics_file import append_metrics, open_metrics

if TYPE_CHECKING:
    from qsnn.reporting.tensorboard_log import TensorBoardLog

log = logging.getLogger(__name__)
BAR_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {unit} {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
Self = TypeVar("Self", bound="Reporter")


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

    def __init__(self, run: RunIdentity, settings: LoggingSettings) -> None:
        self._settings, self._folder = settings, run.folder
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

    def _move_bar(self) -> None:
        """One piece further. What kernels took to compile is no time of the bar's: it would spoil rate and remaining time."""
        compiled = compile_seconds()
        if not self._bar.disable:
            self._bar.set_description_str("training", refresh=False)
            self._bar.start_t += compiled - self._compiled
            self._bar.last_print_t += compiled - self._compiled
        self._compiled = compiled
        self._bar.update(1)

    def _due(self, every: int, epoch: int) -> bool:
        # Not the last epoch as such: a run that is resumed to go on further must log what a longer run would have.
        return every > 0 and (epoch == 1 or epoch % every == 0)

    def wants_health(self, epoch: int) -> bool:
        """Whether the health of the quantization is due in ``epoch``."""
        return self._due(self._settings.health_every, epoch)

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

    def _write(self, epoch: int, record: dict[str, object], scalars: dict[str, float]) -> None:
        """One line of metrics.jsonl, and points in TensorBoard."""
        append_metrics(self._metrics, {"epoch": epoch, **record})
        if self._board:
            self._board.scalars(scalars, epoch)

    def flush(self) -> None:
        """Before a checkpoint: everything up to it is on the disk."""
        if self._board:
            self._board.flush()
