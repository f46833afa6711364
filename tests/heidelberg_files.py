"""Small files in the layout of shd and ssc."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")


Message = Callable[..., str]
Trains = list[tuple[np.ndarray, np.ndarray]]


def trains(seed: int, count: int, time_type: str = "f2") -> Trains:
    """Recordings of up to 40 spikes, the first one of none."""
    rng = np.random.default_rng(seed)
    sizes = [0, *rng.integers(1, 40, count - 1)]
    return [(np.sort(rng.random(size)).astype(time_type), rng.integers(0, 700, size).astype("u2")) for size in sizes]


def arrays(file: Any, name: str, values: list, **storage: Any) -> None:
    entry = file.create_dataset(name, (len(values),), h5py.vlen_dtype(values[-1].dtype), **storage)
    for index, value in enumerate(values):
        entry[index] = value


def write(path: Path, recordings: Trains, labels: list[int], speakers: list[int] | None, **storage: Any) -> Path:
    """A file in the published layout; ``storage``: how HDF5 keeps the variable-length arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        arrays(file, "spikes/times", [t for t, _ in recordings], **storage)
        arrays(file, "spikes/units", [unit for _, unit in recordings], **storage)
        file["labels"] = np.array(labels, dtype="u2")
        if speakers is not None:
            file["extra/speaker"] = np.array(speakers, dtype="u2")
    return path


def write_shd(root: Path) -> dict[str, Trains]:
    """12 recordings of 4 speakers for training, 6 of 2 other ones for testing."""
    written = {"train": trains(1, 12), "test": trains(2, 6)}
    write(root / "shd_train.h5", written["train"], [n % 20 for n in range(12)], [n % 4 for n in range(12)])
    write(root / "shd_test.h5", written["test"], [n % 20 for n in range(6)], [4 + n % 2 for n in range(6)])
    return written


STORAGES: list[dict[str, Any]] = [
    {}, {"chunks": (3,), "maxshape": (None,)}, {"chunks": (5,), "compression": "gzip", "shuffle": True},
]  # fmt: skip
