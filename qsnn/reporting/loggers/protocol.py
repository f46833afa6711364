"""What a `Reporter` asks of a logger."""

from typing import Protocol

from torch import Tensor

from qsnn.quantization import Format
from qsnn.reporting.pictures import Picture


class Logger(Protocol):
    """Made with a `RunIdentity`: its config, its hyperparameters, and the epoch after which it goes on, if it was resumed. A
    logger that has points of later epochs already, of a process that was killed, must not have them twice.

    ``shows_pictures`` and ``shows_histograms``: whether it wants them made. Raises OSError where a file cannot be written.
    """

    shows_pictures: bool
    shows_histograms: bool

    def scalars(self, values: dict[str, float], epoch: int) -> None:
        """Figures under their tags, ``<figure>/<layer>`` or ``loss/<figure>``; epochs ascend."""

    def picture(self, tag: str, picture: Picture, epoch: int) -> None:
        """A raster, or a confusion matrix."""

    def histogram(self, tag: str, values: Tensor, fmt: Format | None, epoch: int) -> None:
        """Codes of ``values`` after quantization to ``fmt``; the values themselves for None."""

    def scores(self, values: dict[str, float], epoch: int) -> None:
        """What the run has reached in the end."""

    def flush(self) -> None:
        """Before a checkpoint: everything so far is safe."""

    def close(self, end: str) -> None:
        """``end``: one of `qsnn.reporting.loggers.names.ENDS`."""
