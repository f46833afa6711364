"""Who looks at a run's health: that depends on its way to learn."""

from functools import singledispatch
from typing import Any

from qsnn.reporting.health.bptt import observe_step
from qsnn.reporting.health.figures import Observation
from qsnn.reporting.health.local import observe_run
from qsnn.training.bptt import BPTTLearner, StepResult
from qsnn.training.class_scores import LayerTally
from qsnn.training.local_learning import LocalLearner
from qsnn.training.run import Run


@singledispatch
def observe(learner: Any, run: Run, lesson: Any, health: bool) -> Observation:
    """Health of the quantization, if asked for, and values for histograms. ``lesson``: the epoch's last."""
    raise TypeError(f"nobody knows how to look at {type(learner).__name__}")


@observe.register
def _bptt(learner: BPTTLearner, run: Run, lesson: StepResult, health: bool) -> Observation:
    return observe_step(run, lesson, health)


@observe.register
def _local(learner: LocalLearner, run: Run, lesson: dict[str, LayerTally], health: bool) -> Observation:
    return observe_run(run, learner)
