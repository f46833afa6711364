"""From the names of ``logging.to`` to loggers. A logger's package is imported only here, by a run that wants it."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from qsnn.errors import ConfigError
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.loggers.names import CSV, FAILED, MLFLOW, PACKAGES, TENSORBOARD, WANDB
from qsnn.reporting.loggers.protocol import Logger
from qsnn.reporting.loggers.remote import Remote, first_line

MLFLOW_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}  # fmt: skip
"""Of its environment: nobody is told that it runs, and a server that is not there is not waited for half an hour."""


def open_loggers(names: Sequence[str], run: RunIdentity) -> list[Logger]:
    """Those of ``names``, each once. Raises ConfigError, naming the logger, if one cannot begin, and OSError."""
    opened: list[Logger] = []
    with ExitStack() as undo:
        for name in dict.fromkeys(names):
            logger = OPENERS[name](run)
            opened.append(logger)
            undo.callback(logger.close, FAILED)
        undo.pop_all()
    return opened


def _tensorboard(run: RunIdentity) -> Logger:
    from qsnn.reporting.tensorboard_log import TensorBoardLog

    return TensorBoardLog(run.folder, run.epoch, run.config_text, run.hyperparameters)


def _csv(run: RunIdentity) -> Logger:
    from qsnn.reporting.loggers.csv_file import CsvLog

    return CsvLog(run)


def _wandb(run: RunIdentity) -> Logger:
    try:
        from qsnn.reporting.loggers.wandb_run import ERRORS, WandbLog
    except ImportError as error:
        raise _missing(WANDB, error) from error
    return _remote(WANDB, WandbLog, run, ERRORS, "WANDB_MODE=offline needs no server")


def _mlflow(run: RunIdentity) -> Logger:
    for name, value in MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        from qsnn.reporting.loggers.mlflow_run import ERRORS, MlflowLog
    except ImportError as error:
        raise _missing(MLFLOW, error) from error
    return _remote(MLFLOW, MlflowLog, run, ERRORS, "without MLFLOW_TRACKING_URI it writes outputs/mlflow.db")


def _missing(name: str, error: ImportError) -> ConfigError:
    return ConfigError(f"logging.to: {name} cannot be imported: {first_line(error)}; {PACKAGES[name]}")


def _remote(
    name: str, make: Callable[[RunIdentity], Logger], run: RunIdentity, errors: tuple[type[Exception], ...], help_: str
) -> Logger:
    begins: tuple[type[Exception], ...] = (
        *errors,
        ImportError,
    )  # imported late, of packages that do not fit each other
    try:
        return Remote(name, make(run), errors)
    except begins as error:
        raise ConfigError(f"logging.to: {name} cannot begin: {first_line(error)}; {help_}") from error


OPENERS: dict[str, Callable[[RunIdentity], Logger]] = {
    TENSORBOARD: _tensorboard, CSV: _csv, WANDB: _wandb, MLFLOW: _mlflow,
}  # fmt: skip
