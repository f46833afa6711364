"""The spike counts that a run keeps of its last evaluation.

spike_counts.npz holds integers: ``size`` (samples, steps), ``arrived.<layer>.<way>``, ``spikes.<layer>``,
``live.<layer>.<way>`` and ``weights.<layer>.<way>`` (how many, how many of them 0).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from qsnn.data.formats.npz import NpzFile, npz_shapes
from qsnn.errors import DataError, RunFolderError
from qsnn.models.spike_counts import SpikeCounts

COUNTS = "spike_counts.npz"
SHAPES: dict[str, tuple[int, ...]] = {"arrived": (-1,), "spikes": (), "live": (), "weights": (2,)}
"""Of the arrays that a run keeps of each part."""


def arrays_of(counts: SpikeCounts) -> dict[str, NDArray[np.int64]]:
    """The content of `COUNTS`."""
    parts = {"arrived": counts.arrived, "spikes": counts.spikes, "live": counts.live, "weights": counts.weights}
    named = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}  # type: ignore[attr-defined]
    return {
        "size": np.array([counts.samples, counts.num_steps]),
        **{name: np.asarray(value).astype(np.int64) for name, value in named.items()},
    }


def again(folder: Path) -> str:
    """What to do about a damaged file of an evaluation."""
    return f"resume={folder} evaluates the run again and writes it anew, or train it again"


def read_counts(folder: Path) -> SpikeCounts:
    """Those of a run's folder. Raises RunFolderError if it has none, or damaged ones."""
    path, advice = folder / COUNTS, again(folder)
    if not path.is_file():
        raise RunFolderError(
            f"{folder} has no {COUNTS}: it was not evaluated at its end, or by an earlier version; {advice}, or give "
            "its overrides, without run=, for the counts of an untrained net"
        )
    try:
        file = NpzFile(path, dict.fromkeys(npz_shapes(path, advice), "iu"), advice)
        arrays = {name: file.read(name) for name in file.declared}
    except DataError as error:
        told = str(error)
        raise RunFolderError(told if advice in told else f"{told}; {advice}") from error
    below = next((name for name, array in arrays.items() if (array < 0).any()), None)
    if below is not None:
        raise RunFolderError(f"{path} is damaged: a count is negative, in {ascii(below)[:60]}; {advice}")
    parts: dict[str, dict[str, Any]] = {part: {} for part in SHAPES}
    for name, array in arrays.items():
        part, _, place = name.partition(".")
        if part in parts:
            if array.shape != (SHAPES[part] if part != "arrived" else (array.size,)):
                raise RunFolderError(f"{path} is damaged: {ascii(name)[:60]} has shape {list(array.shape)}; {advice}")
            parts[part][place] = torch.from_numpy(array).double() if part == "arrived" else array.tolist()
    size = arrays.get("size", np.zeros(0)).ravel().tolist()
    if len(size) != 2 or min(size) < 1:
        raise RunFolderError(
            f"{path} is damaged: it does not say of how many samples and steps it is, in size; {advice}"
        )
    return SpikeCounts(int(size[0]), int(size[1]), **parts)
