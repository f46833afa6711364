"""Batches of rasters from a prepared event data set. A batch is a pure function of the seed, its epoch and its number.

So a run that was stopped goes on in the middle of an epoch, and any number of workers gives the same bits. Workers are
threads: numpy leaves the interpreter's lock while it works, and threads share the memory-mapped events.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.distortion import NOWHERE, draw_distortion, moved_pixels
from qsnn.data.events.windows import WindowSettings, input_shape, jitter_times, pixel_table, raster_type, scatter
from qsnn.data.streams import random_stream
from qsnn.kernels.workers import ONE, Workers

_JITTER_REACH = 8.2  # standard deviations: as far as `jitter_times` moves


class Batch(NamedTuple):
    """``input``: (T, B, C, H, W) uint8, or int8 where signed; ``labels``: (B,) int64; ``index``: (B,) int64, recordings.

    Where several processes share a run, ``input`` of a training batch is of a process' own samples, the rest of all.
    """

    input: Tensor
    labels: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here


def num_batches(num_recordings: int, batch_size: int) -> int:
    """Batches of an epoch; the last one may be smaller."""
    return -(-num_recordings // batch_size)


def train_batches(
    dataset: EventDataset,
    indices: NDArray[np.int64],
    settings: WindowSettings,
    batch_size: int,
    seed: int,
    epoch: int,
    first_batch: int = 0,
    num_workers: int = 0,
    sharing: Workers = ONE,
) -> Iterator[Batch]:
    """The batches of an epoch from number ``first_batch`` on: shuffled, each recording once, random windows, jitter, shift.

    A window starts at a random step from which it fits into its recording; a recording that is shorter starts at step 0
    and ends in silence. These, jitter, shift, rotation and zoom depend on ``seed``, ``epoch`` and the recording alone.

    Args:
        dataset: from `prepare_dataset`.
        indices: the recordings to use.
        settings: of the rasters.
        batch_size: recordings in a batch; the last one has what remains.
        seed: integer >= 0.
        epoch: counts epochs.
        first_batch: batches of this epoch to leave out.
        num_workers: threads that prepare batches ahead; 0: each batch when it is asked for.
        sharing: which of the processes that share each batch this is.
    """
    order = random_stream(seed, f"order of epoch {epoch}").permutation(np.asarray(indices, dtype=np.int64))

    def draw(index: int) -> np.random.Generator:
        return random_stream(seed, f"window of epoch {epoch}, recording {index}")

    table = pixel_table(dataset.sensor, settings)
    chosen = _chosen(order, batch_size, first_batch, 1)
    return _ahead(lambda index: make_batch(dataset, index, settings, table, draw, sharing), chosen, num_workers)


def test_batches(
    dataset: EventDataset,
    indices: NDArray[np.int64],
    settings: WindowSettings,
    batch_size: int,
    num_workers: int = 0,  # noqa: PT028
    sharing: Workers = ONE,  # noqa: PT028
) -> Iterator[Batch]:
    """All recordings of ``indices`` in their order, each the window from its start, without jitter; of several processes each
    has whole batches of its own, one in as many as they are."""
    order, table = np.asarray(indices, dtype=np.int64), pixel_table(dataset.sensor, settings)
    chosen = _chosen(order, batch_size, sharing.rank, sharing.size)
    return _ahead(lambda index: make_batch(dataset, index, settings, table, None), chosen, num_workers)


def _chosen(order: NDArray[np.int64], batch_size: int, first_batch: int, every: int) -> Iterator[NDArray[np.int64]]:
    """The recordings of batch ``first_batch``, and of every so many after it."""
    for start in range(first_batch * batch_size, len(order), every * batch_size):
        yield order[start : start + batch_size]


def make_batch(
    dataset: EventDataset,
    index: NDArray[np.int64],
    settings: WindowSettings,
    table: NDArray[np.int64],
    draw: Callable[[int], np.random.Generator] | None,
    sharing: Workers = ONE,
) -> Batch:
    """The batch of recordings ``index``. ``draw`` gives a recording's random numbers; None: first window, no jitter."""
    own = index[sharing.own(len(index))]
    shape = (settings.num_steps, len(own), *input_shape(dataset.sensor, settings))
    batch = np.zeros(shape, dtype=raster_type(settings.input_mode))  # torch's zeros come in small pages: 5 times slower
    for place, recording in enumerate(own.tolist()):
        rng = None if draw is None else draw(recording)
        step, address = _window(dataset, recording, settings, rng)
        if rng is not None and (settings.rotation or settings.zoom):
            step, address = _distorted(step, address, dataset.sensor, settings, rng)
        scatter(batch, place, step, table[address], address & 1)
        if rng is not None and settings.shift:
            down, right = rng.integers(-settings.shift, settings.shift + 1, 2).tolist()
            batch[:, place] = shifted(batch[:, place], down, right)
    return Batch(torch.from_numpy(batch), torch.from_numpy(dataset.labels[index]), torch.from_numpy(index.copy()))


def _distorted(
    step: NDArray[Any],
    address: NDArray[Any],
    sensor: tuple[int, int],
    settings: WindowSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Events turned and stretched, those that stay on the sensor."""
    pixel = moved_pixels(sensor, draw_distortion(settings.rotation, settings.zoom, rng))[address >> 1]
    inside = np.flatnonzero(pixel != NOWHERE)
    return step[inside], 2 * pixel[inside] + (address[inside] & 1)


def shifted(maps: NDArray[Any], down: int, right: int) -> NDArray[Any]:
    """Maps (..., H, W) moved by whole pixels; what leaves is lost, zeros come in."""
    height, width = maps.shape[-2:]
    moved = np.zeros_like(maps)
    target = np.s_[..., max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
    source = np.s_[..., max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
    moved[target] = maps[source]
    return moved


def _window(
    dataset: EventDataset, recording: int, settings: WindowSettings, rng: np.random.Generator | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Step and address of each event of a recording's window."""
    length = settings.num_steps * settings.step
    if rng is None:
        time, address = dataset.raw(recording, 0, length)
        return time // settings.step, address
    steps = num_batches(int(dataset.durations[recording]), settings.step)
    start = int(rng.integers(max(0, steps - settings.num_steps) + 1)) * settings.step
    if settings.jitter == 0:
        time, address = dataset.raw(recording, start, start + length)
        return (time - np.uint32(start)) // settings.step, address
    reach = int(_JITTER_REACH * settings.jitter + 1) * 1000
    time, address = dataset.raw(recording, start - reach, start + length + reach)
    moved = jitter_times(time, settings.jitter, rng) - start
    inside = np.flatnonzero(moved.view(np.uint64) < length)  # negative ones are huge
    return moved[inside] // settings.step, address[inside]


def _ahead(make: Callable[[Any], Batch], parts: Iterator[Any], num_workers: int) -> Iterator[Batch]:
    """``make`` of each part, in order, by threads that are at most ``num_workers`` + 1 batches ahead."""
    if num_workers == 0:
        yield from map(make, parts)
        return
    pool = ThreadPoolExecutor(num_workers, thread_name_prefix="batches")
    waiting: deque[Future[Batch]] = deque()
    try:
        for part in parts:
            waiting.append(pool.submit(make, part))
            if len(waiting) > num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
