"""A logger whose server may go while a run trains: that is warned of once, and the run goes on."""

import logging
from collections.abc import Callable

from torch import Tensor

from qsnn.quantization import Format
from qsnn.reporting.loggers.protocol import Logger
from qsnn.reporting.pictures import Picture

log = logging.getLogger(__name__)


MOST = 160


def first_line(error: BaseException) -> str:
    """What went wrong, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:MOST]


class Remote:
    """``logger`` until it fails with one of ``errors``; nothing from then on: each further call could wait for an answer."""

    def __init__(self, name: str, logger: Logger, errors: tuple[type[BaseException], ...]) -> None:
        self._name, self._logger, self._errors = name, logger, errors
        self.shows_pictures, self.shows_histograms = logger.shows_pictures, logger.shows_histograms
        self._gone = False

    def _try(self, call: Callable[[], None]) -> None:
        if self._gone:
            return
        try:
            call()
        except self._errors as error:
            self._gone = True
            log.warning("logging.to: %s failed, and the run goes on without it: %s", self._name, first_line(error))

    def scalars(self, values: dict[str, float], epoch: int) -> None:
        """See `Logger`."""
        self._try(lambda: self._logger.scalars(values, epoch))

    def picture(self, tag: str, picture: Picture, epoch: int) -> None:
        """See `Logger`."""
        self._try(lambda: self._logger.picture(tag, picture, epoch))

    def histogram(self, tag: str, values: Tensor, fmt: Format | None, epoch: int) -> None:
        """See `Logger`."""
        self._try(lambda: self._logger.histogram(tag, values, fmt, epoch))

    def scores(self, values: dict[str, float], epoch: int) -> None:
        """See `Logger`."""
        self._try(lambda: self._logger.scores(values, epoch))

    def flush(self) -> None:
        """See `Logger`."""
        self._try(self._logger.flush)

    def close(self, end: str) -> None:
        """See `Logger`."""
        self._try(lambda: self._logger.close(end))
