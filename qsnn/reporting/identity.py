"""Which run it is that is told of."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from qsnn.training.run import Run

HParam = int | float | str | bool
NO_REMEDIES: Mapping[str, str] = MappingProxyType({})


class RunIdentity(NamedTuple):
    """What a reporter shows of a run as a whole: its folder, how far it is and goes (in ``unit``), config, the
    hyperparameters in TensorBoard's HParams table, and what helps where a figure of health crosses its limit; its experiment's
    ``name``, the ``sweep`` that it belongs to, and what of it learns."""

    folder: Path
    epoch: int
    position: int
    total: int
    unit: str
    config_text: str
    hyperparameters: dict[str, HParam]
    remedies: Mapping[str, str] = NO_REMEDIES
    name: str = ""
    sweep: str | None = None
    layers: tuple[str, ...] = ()


def identity_of(
    run: Run, config_text: str, hyperparameters: dict[str, HParam], remedies: Mapping[str, str] = NO_REMEDIES
) -> RunIdentity:
    """That of a run as it is now."""
    epoch, batch, pieces = run.state.epoch, run.state.batch, run.task.batches_per_epoch
    unit = "batch" if pieces > 1 else "epoch"
    position, total = epoch * pieces + batch, run.settings.epochs * pieces
    layers = tuple(run.state.largest_codes)
    return RunIdentity(run.folder, epoch, position, total, unit, config_text, hyperparameters, remedies, layers=layers)
