"""The file of Hydra's job log."""

import logging
import sys
from pathlib import Path

from qsnn.errors import naming


class LogFile(logging.FileHandler):
    """A log in UTF-8, opened at its first line. A line that cannot be written raises OSError, with the file's name, like
    everything else that a run cannot write; logging would print a traceback, and the run would go on without its log."""

    def __init__(self, filename: str) -> None:
        super().__init__(filename, encoding="utf-8", delay=True)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Called while the error is being handled."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        with naming(Path(self.baseFilename)):
            raise error
