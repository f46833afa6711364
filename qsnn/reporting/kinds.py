"""What is told of each kind of run, beside what its reporter tells while it trains. One registration a kind: no list of kinds.

A kind of run registers its own, where its reporter is (`pattern_reporter`, `local_reporter`).
"""

from functools import singledispatch
from pathlib import Path
from typing import Any, NamedTuple

from qsnn.reporting.identity import HParam
from qsnn.reporting.reporter import LoggingSettings
from qsnn.training.loop import Outcome


class Shown(NamedTuple):
    """What TensorBoard shows of a run beside its course: the config as text, and hyperparameters."""

    config_text: str
    hyperparameters: dict[str, HParam]


@singledispatch
def reporter_of(run: Any, settings: LoggingSettings, shown: Shown) -> Any:
    """The reporter of a run, which begins to write when it is made."""
    raise TypeError(f"no reporter is registered for {type(run).__name__}")


@singledispatch
def facts_of(run: Any) -> dict[str, Any]:
    """What summary.json says of a run beside its results: sizes, memory, kernels."""
    raise TypeError(f"no facts are registered for {type(run).__name__}")


@singledispatch
def table_of(run: Any, outcome: Outcome, code_bits: dict[str, int]) -> str:
    """The table at the end."""
    raise TypeError(f"no table is registered for {type(run).__name__}")


@singledispatch
def scores_of(run: Any, best: dict[str, Any] | None, folder: Path) -> dict[str, Any]:
    """Scores of the weights as they are (``final``) and of those in the checkpoint ``best``; writes raster.png."""
    raise TypeError(f"no scores are registered for {type(run).__name__}")
