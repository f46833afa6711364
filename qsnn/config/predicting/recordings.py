"""The recordings that somebody asks a net about, each as a batch of its own: event files, rasters, files of many samples."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from qsnn.config.nets import SavedNet
from qsnn.data.events.batches import Batch, test_batches
from qsnn.data.events.prepare import prepare_dataset
from qsnn.data.events.source import EventSource
from qsnn.data.formats.aedat2 import AEDAT2Options
from qsnn.data.formats.arrays import ARRAY_SUFFIXES, read_array
from qsnn.data.sources.array_file import CHANNELS, HELP, PIXELS, holds_samples
from qsnn.data.sources.loose_arrays import LooseArrays
from qsnn.data.sources.loose_files import LooseFiles, find_recordings
from qsnn.data.words import MAPS
from qsnn.errors import ConfigError, DataError

Named = tuple[str, Batch]


def batches_of(saved: SavedNet, paths: list[Path], time_unit: str | None) -> Iterator[Named]:
    """Name and batch of each recording, in the order of ``paths``, from its start, as long as the run's test windows.

    Every path is looked at before the first batch is made. Raises ConfigError and DataError.
    """
    sources = [_source(saved, path, time_unit) for path in paths]
    for path, source in zip(paths, sources, strict=True):
        yield from [(str(path), _raster(saved, path))] if source is None else _windows(saved, source)


def _source(saved: SavedNet, path: Path, time_unit: str | None) -> EventSource | None:
    """What yields the recordings of a path; None of a raster, which is one without times."""
    if not path.exists():
        raise DataError(
            f"{path} is not there; relative paths start at {Path.cwd()}: name files or folders of recordings"
        )
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        return _files(saved, path)
    return _samples(saved, path, time_unit) if holds_samples(path) else None


def _samples(saved: SavedNet, path: Path, time_unit: str | None) -> LooseArrays:
    """The samples of a .npz as dataset=arrays has them; times are in the run's unit unless another is given."""
    data = saved.config.dataset
    unit = time_unit or str(getattr(data, "time_unit", "s"))
    source = LooseArrays(path, PIXELS if MAPS in data.gives else CHANNELS, unit, saved.classes)
    if source.sensor != tuple(saved.sensor):
        found, wanted = (_places(size) for size in (source.sensor, saved.sensor))
        raise DataError(f"{path}: its spikes lie on {found}, the net learned from {wanted}")
    return source


def _places(sensor: tuple[int, ...]) -> str:
    return f"{sensor[1]} channels" if sensor[0] == 1 else f"{sensor[0]} x {sensor[1]} pixels (height, width)"


def _files(saved: SavedNet, path: Path) -> LooseFiles:
    """An event file, or all that can be read in a folder."""
    data, (height, width) = saved.config.dataset, saved.sensor
    if MAPS not in data.gives:
        wanted = f"a raster of 0 and 1, [steps, {width}], in a .npy or .npz, or samples as dataset=arrays takes them"
        raise ConfigError(f"{path}: the net of {saved.file} takes {width} channels, no pixels: give {wanted}")
    chosen = {name: getattr(data, name) for name in AEDAT2Options._fields if hasattr(data, name)}
    options, sensor_was_chosen = AEDAT2Options(**chosen), getattr(data, "sensor", None) is not None
    return LooseFiles(find_recordings([path]), saved.classes, (height, width), options, sensor_was_chosen)


def _windows(saved: SavedNet, source: EventSource) -> Iterator[Named]:
    with tempfile.TemporaryDirectory(prefix="qsnn-predict-") as folder:
        dataset = prepare_dataset(source, Path(folder), progress=False)
        windows = saved.config.dataset.windows(saved.config.neuron.dt, training=False)
        batches = test_batches(dataset, np.arange(dataset.num_recordings), windows, 1)
        yield from zip(dataset.names.tolist(), batches, strict=True)


def _raster(saved: SavedNet, path: Path) -> Batch:
    """A raster of steps and inputs, (T, N) of 0 and 1."""
    size = int(np.prod(saved.inputs))

    def check(shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[1] != size:
            raise DataError(
                f"{path} holds an array of shape {list(shape)}; the net takes [steps, {size}], or samples: {HELP}"
            )

    spikes = torch.from_numpy(read_array(path, "spikes", check).astype(np.uint8))
    nothing = torch.zeros(1, dtype=torch.int64)
    return Batch(spikes.view(len(spikes), 1, *saved.inputs), nothing, nothing)
