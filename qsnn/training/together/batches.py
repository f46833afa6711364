"""Batches that several runs learn from alike: drawn once."""

from typing import Any

import numpy as np

from qsnn.training.class_task import ClassTask
from qsnn.training.run import Run


def draw_alike(one: Run, other: Run) -> bool:
    """Whether two runs are given the same batches at the same place: same recordings in the same parts, same windows, and the
    same seed of their order (that of the data, not of the net)."""
    ours, theirs = one.task, other.task
    if not isinstance(ours, ClassTask) or not isinstance(theirs, ClassTask):
        return False
    same_parts = all(np.array_equal(a, b) for a, b in zip(ours.split, theirs.split, strict=True))
    same_course = (ours.train_windows, ours.settings) == (theirs.train_windows, theirs.settings)
    return same_parts and same_course and one.facts["data"] == other.facts["data"]


class SharedBatches:
    """The last batch that was drawn, for runs that draw alike, by place."""

    def __init__(self) -> None:
        self._place: tuple[int, int] | None = None
        self._batch: Any = None

    def at(self, run: Run) -> Any:
        """The batch at the run's place if it is the last one; else None."""
        return self._batch if self._place == (run.state.epoch, run.state.batch) else None

    def note(self, run: Run, batch: Any) -> None:
        """``batch`` is the one at the run's place."""
        self._place, self._batch = (run.state.epoch, run.state.batch), batch
