"""qsnn: train and run spiking neural networks on few bits, from one Hydra config.

From Python: `run` and `load`, see docs/python.md.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qsnn.config.python import FinishedRun, LoadedNet

__version__ = "0.2.0"


def run(overrides: list[str]) -> "FinishedRun":
    """Train as ``python -m qsnn.train`` does with the same words; folder, summary and net. See `qsnn.config.python.run`."""
    done: FinishedRun = _python().run(overrides)
    return done


def load(folder: str | Path, words: list[str] | None = None) -> "LoadedNet":
    """The net of a run's folder, ready to call. See `qsnn.config.python.load`."""
    loaded: LoadedNet = _python().load(folder, words)
    return loaded


def _python() -> Any:
    """By name: it takes torch and Hydra with it, and lies above whatever imports this package's version."""
    return importlib.import_module("qsnn.config.python")
