"""What the processes of a shared run do that neither write nor tell: the same work, in silence."""

import logging
from pathlib import Path
from typing import Any, TypeVar

from qsnn.config.building.memory import memory_explained
from qsnn.config.building.run import build_run
from qsnn.config.schema import Config
from qsnn.config.sharing.group import agree_on_failures, begin_alike, wait_for_the_first
from qsnn.errors import QsnnError
from qsnn.kernels.workers import Workers
from qsnn.training.loop import train
from qsnn.training.run import Ending, Epoch, Run

Self = TypeVar("Self")


class Silence:
    """A reporter that wants nothing and tells nothing."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is open."""

    def flush(self) -> None:
        """Nothing is written."""

    def wants_health(self, epoch: int) -> bool:
        """No."""
        return False

    def wants_figures(self, epoch: int) -> bool:
        """No."""
        return False

    def after_batch(self, headline: str) -> None:
        """Nothing."""

    def after_epoch(self, run: Run, lesson: Any, epoch: Epoch) -> None:
        """Nothing."""

    def finish(self, run: Run, ending: Ending) -> None:
        """Nothing."""


def follow(config: Config, folder: Path, workers: Workers) -> None:
    """Train with the others from the state that the first has, new or resumed. Raises QsnnError, OSError."""
    logging.getLogger().addHandler(logging.NullHandler())  # else Python would print warnings that the first prints too
    wait_for_the_first()
    with memory_explained(config):
        run, failure = None, None
        try:
            run = build_run(config, folder, workers)
        except (QsnnError, OSError) as error:
            failure = error
        agree_on_failures(workers, failure)
        assert run is not None
        begin_alike(run)
        try:
            train(run, Silence)
        except OSError:
            workers.tell_once()  # `qsnn.command.fail` prints it
            raise
