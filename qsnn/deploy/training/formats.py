"""What a net that learns can be written as: `python -m qsnn.export training=true format=...`."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from qsnn.deploy.folder import SUMS, check_vacant
from qsnn.deploy.model import Model
from qsnn.deploy.training.c import MARK, write_learning
from qsnn.deploy.training.files import write_training
from qsnn.deploy.training.recipe import Recipe


class TrainingFormat(NamedTuple):
    """``mark``: a file that only such a folder has; ``write``: to a folder, at once, over none unless told to; raises
    ConfigError."""

    mark: str
    write: Callable[[Model, Recipe, Path, bool], None]

    def check(self, out: Path, overwrite: bool) -> None:
        """What can be told of ``out`` before any work is done. Raises ConfigError."""
        check_vacant(out, overwrite, self.mark)


TRAINING_FORMATS = {"artefact": TrainingFormat(SUMS, write_training), "c": TrainingFormat(MARK, write_learning)}
