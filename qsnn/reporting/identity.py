"""Which run it is that is told of."""

from pathlib import Path
from typing import NamedTuple

from qsnn.training.run import Run

HParam = int | float | str | bool


class RunIdentity(NamedTuple):
    """What a reporter shows of a run as a whole: its folder, how far it is and goes (in ``unit``), config, and the
    hyperparameters in TensorBoard's HParams table."""

    folder: Path
    epoch: int
    position: int
    total: int
    unit: str
    config_text: str
    hyperparameters: dict[str, HParam]


def identity_of(run: Run, config_text: str, hyperparameters: dict[str, HParam]) -> RunIdentity:
    """That of a run as it is now."""
    epoch, batch, pieces = run.state.epoch, run.state.batch, run.task.batches_per_epoch
    unit = "batch" if pieces > 1 else "epoch"
    position, total = epoch * pieces + batch, run.settings.epochs * pieces
    return RunIdentity(run.folder, epoch, position, total, unit, config_text, hyperparameters)
