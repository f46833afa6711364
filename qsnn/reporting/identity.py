"""Which run it is that is told of."""

from pathlib import Path
from typing import NamedTuple

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
