"""Whole files of dataset=arrays and dataset=array_maps, to be changed."""

from pathlib import Path
from typing import Any

import numpy as np


def rasters(num_samples: int = 10, shape: tuple[int, ...] = (6, 4), seed: int = 0) -> dict[str, Any]:
    """A whole file of rasters (N, T, C): two classes in turn."""
    spikes = np.random.default_rng(seed).random((num_samples, *shape)) < 0.3
    return {"labels": np.arange(num_samples) % 2, "spikes": spikes, "step": 0.001}


def lists(**changes: Any) -> dict[str, Any]:
    """A whole file of three samples' events in channels; a change of None takes an array out."""
    whole = {
        "labels": np.array([0, 1, 0]), "times": np.array([0.002, 0.001, 0.003, 0.0]), "units": np.array([3, 0, 1, 2]),
        "num_units": 5, "offsets": np.array([0, 2, 2, 4]),
    }  # fmt: skip
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def pixels(**changes: Any) -> dict[str, Any]:
    """The same events in pixels of a sensor of 3 rows and 4 columns."""
    own = {"x": np.array([3, 0, 1, 2]), "y": np.array([2, 0, 1, 1]), "polarity": np.array([1, 0, 1, 0])}
    return lists(**{"units": None, "num_units": None, **own, "sensor": np.array([3, 4]), **changes})


def write(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path
