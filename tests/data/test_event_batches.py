"""Batches: what a raster holds in each input mode, windows, jitter, and that a batch is a function of its number."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from event_builders import prepared, random_events
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.events import batches as event_batches
from qsnn.data.events.batches import Batch, input_shape, num_batches, train_batches
from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.windows import WindowSettings, jitter_times, pixel_table, raster_type, scatter
from qsnn.data.recording import Events, Recording
from qsnn.data.streams import random_stream

PLAIN = WindowSettings(dt=0.001, num_steps=50, input_mode=0, downsample=1, jitter=0.0)


def dataset_of(folder: Path, *events: Events, size: int = 8) -> EventDataset:
    recordings = [Recording(f"r{i}", i % 3, f"g{i}", False, one) for i, one in enumerate(events)]
    return prepared(folder, recordings, (size, size))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EventDataset:
    """Twenty recordings of 8 x 8 pixels and 20 to 210 ms."""
    events = [random_events(i, 300, 8, 20_000 + 10_000 * i) for i in range(20)]
    return dataset_of(tmp_path_factory.mktemp("cache"), *events)


def first_windows(dataset: EventDataset, windows: WindowSettings, workers: int = 0) -> list[Batch]:
    everything = np.arange(dataset.num_recordings)
    return list(event_batches.test_batches(dataset, everything, windows, 8, workers))


def slow_raster(events: Events, windows: WindowSettings, size: int, start: int = 0) -> np.ndarray:
    """The definition, event by event: counts of ON and OFF events in each bin, then the input mode."""
    pixels = -(-size // windows.downsample)
    counts = np.zeros((windows.num_steps, 2, pixels, pixels), int)
    for t, x, y, on in zip(*events, strict=True):
        step = (t - start) // windows.step
        if 0 <= step < windows.num_steps:
            counts[step, 0 if on else 1, y // windows.downsample, x // windows.downsample] += 1
    signed = np.sign(counts[:, :1] - counts[:, 1:])
    return {
        0: np.minimum(counts, 1),
        1: np.minimum(counts.sum(axis=1, keepdims=True), 1),
        2: signed,
        3: np.concatenate([signed, signed], axis=1),
    }[windows.input_mode]


@pytest.mark.parametrize("mode", [0, 1, 2, 3])
@pytest.mark.parametrize(("downsample", "pixels"), [(1, 8), (2, 4), (3, 3), (8, 1)])
@pytest.mark.parametrize("dt", [0.001, 0.0005, 0.004])
def test_test_batches_hold_the_first_window_of_each_recording(
    dataset: EventDataset, mode: int, downsample: int, pixels: int, dt: float
) -> None:
    windows = WindowSettings(dt, 50, mode, downsample, 0.0)
    batches = first_windows(dataset, windows)
    assert [len(batch.labels) for batch in batches] == [8, 8, 4]
    channels = {0: 2, 1: 1, 2: 1, 3: 2}[mode]
    assert input_shape((8, 8), windows) == (channels, pixels, pixels)
    for batch in batches:
        assert batch.input.shape == (50, len(batch.labels), channels, pixels, pixels)
        assert batch.input.dtype == (torch.int8 if mode in (2, 3) else torch.uint8)
        assert batch.labels.dtype == batch.index.dtype == torch.int64
        for place, index in enumerate(batch.index.tolist()):
            assert batch.labels[place] == dataset.labels[index]
            expected = slow_raster(dataset.events(index), windows, 8)
            assert np.array_equal(batch.input[:, place].numpy(), expected)
            assert expected.any()


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 15), st.booleans()), max_size=60),
    st.sampled_from([0, 1, 2, 3]),
    st.integers(1, 5),
)
@settings(deadline=None)
def test_scatter_equals_counting_event_by_event(rows: list[tuple[int, int, bool]], mode: int, downsample: int) -> None:
    windows = WindowSettings(0.001, 5, mode, downsample, 0.0)
    step, pixel, on = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.zeros(0, int),) * 3
    events = Events(step * 1000, (pixel % 4).astype(np.int16), (pixel // 4).astype(np.int16), on.astype(bool))
    address = pixel * 2 + on.astype(int)
    batch = np.zeros((5, 3, *input_shape((4, 4), windows)), raster_type(mode))
    scatter(batch, 1, step, pixel_table((4, 4), windows)[address], address & 1)
    assert np.array_equal(batch[:, 1], slow_raster(events, windows, 4))
    assert not batch[:, [0, 2]].any()


@pytest.mark.parametrize(("on", "off", "value"), [(1, 1, 0), (2, 1, 1), (1, 2, -1), (300, 299, 1), (0, 300, -1)])
def test_signed_channel_is_the_sign_of_the_sum_of_a_bin(tmp_path: Path, on: int, off: int, value: int) -> None:
    number = on + off
    place = np.full(number, 3, np.int16)
    polarity = np.random.default_rng(0).permutation(np.arange(number) < on)
    events = Events(np.sort(np.random.default_rng(1).integers(0, 1000, number)), place, place, polarity)
    (batch,) = first_windows(dataset_of(tmp_path, events), PLAIN._replace(input_mode=2))
    assert batch.input[0, 0, 0, 3, 3] == value
    assert batch.input.abs().sum() == abs(value)


def test_input_shape_of_a_sensor_that_is_not_divisible_rounds_up() -> None:
    assert input_shape((128, 128), PLAIN._replace(downsample=4)) == (2, 32, 32)
    assert input_shape((34, 34), PLAIN._replace(downsample=2, input_mode=1)) == (1, 17, 17)
    assert input_shape((34, 60), PLAIN._replace(downsample=4, input_mode=3)) == (2, 9, 15)


@pytest.mark.parametrize("jitter", [0.0, 0.5])
def test_train_batches_use_each_recording_once_in_another_order_each_epoch(
    dataset: EventDataset, jitter: float
) -> None:
    chosen = np.arange(1, 20, 2)
    orders = []
    for epoch in range(3):
        batches = list(train_batches(dataset, chosen, PLAIN._replace(jitter=jitter), 4, seed=0, epoch=epoch))
        assert len(batches) == num_batches(10, 4) == 3
        index = torch.cat([batch.index for batch in batches])
        assert sorted(index.tolist()) == chosen.tolist()
        assert np.array_equal(torch.cat([batch.labels for batch in batches]), dataset.labels[index])
        orders.append(index.tolist())
    assert len({tuple(order) for order in orders}) == 3


def test_train_windows_start_at_any_step_from_which_they_fit(tmp_path: Path) -> None:
    """One event a step, at a pixel of its own: the raster tells where the window began."""
    t = np.arange(60) * 1000
    x, y = ((np.arange(60) % 8).astype(np.int16), (np.arange(60) // 8).astype(np.int16))
    dataset = dataset_of(tmp_path, Events(t, x, y, np.ones(60, bool)))
    starts = set()
    for epoch in range(200):
        (batch,) = train_batches(dataset, np.array([0]), PLAIN, 1, seed=1, epoch=epoch)
        places = batch.input[:, 0, 0].reshape(50, 64).nonzero()
        starts.add(int(places[0, 1]))
        assert torch.equal(places, torch.stack([torch.arange(50), torch.arange(50) + places[0, 1]], dim=1))
    assert starts == set(range(11))


def test_windows_of_shorter_recordings_begin_with_them_and_end_in_silence(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, random_events(0, 100, 8, 20_000), random_events(0, 0))
    expected = slow_raster(dataset.events(0), PLAIN, 8)
    trained = next(train_batches(dataset, np.arange(2), PLAIN, 2, seed=3, epoch=0))
    for batch in (trained, *first_windows(dataset, PLAIN)):
        place = batch.index.tolist().index(0)
        assert np.array_equal(batch.input[:, place].numpy(), expected)
        assert batch.input[:20, place].any()
        assert not batch.input[20:].any()
        assert not batch.input[:, 1 - place].any()


def test_jitter_moves_times_by_whole_milliseconds_of_a_truncated_normal() -> None:
    time = np.arange(200_000, dtype=np.uint32)
    shift = jitter_times(time, 0.5, random_stream(0, "test")) - time
    assert set((shift % 1000).tolist()) == {0}
    shares = np.array([(np.abs(shift) == 1000 * k).mean() for k in range(3)])
    # P(|N| < 2), P(2 <= |N| < 4), P(4 <= |N| < 6)
    assert np.allclose(shares, [0.9545, 0.04544, 0.0000633], atol=[0.002, 0.002, 0.0001])
    assert abs((shift > 0).mean() - (shift < 0).mean()) < 0.002


def test_jitter_is_for_training_only_and_lets_events_cross_the_windows_edges(tmp_path: Path) -> None:
    """All events lie just before the only window's end, or just behind the start of a later one."""
    t = np.full(2000, 49_999)
    place = np.zeros(2000, np.int16)
    last = np.array([99_999])
    events = Events(np.concatenate([t, last]), *(np.append(place, place[:1]) for _ in range(2)), np.ones(2001, bool))
    dataset = dataset_of(tmp_path, events)
    jittered = PLAIN._replace(jitter=1.0)
    (tested,) = first_windows(dataset, jittered)
    assert tested.input[:, 0].nonzero()[:, 0].tolist() == [49]
    starts = {}
    for epoch in range(150):
        (batch,) = train_batches(dataset, np.array([0]), jittered, 1, seed=0, epoch=epoch)
        start = int(random_stream(0, f"window of epoch {epoch}, recording 0").integers(51))
        starts[start] = {start + step for step in batch.input[:, 0].nonzero()[:, 0].tolist()}
    assert {49, 48, 47, 50, 51} <= set.union(*(steps for start, steps in starts.items() if 5 < start < 40))
    assert {50, 51} <= starts[50]  # the window begins behind the events, some of which moved into it
    assert all(step < 50 for step in starts[0])


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("mode", [0, 3])
def test_batches_are_the_same_for_any_number_of_workers(dataset: EventDataset, workers: int, mode: int) -> None:
    windows = PLAIN._replace(jitter=0.5, input_mode=mode)
    everything = np.arange(20)
    for one, other in itertools.chain(
        zip(first_windows(dataset, windows), first_windows(dataset, windows, workers), strict=True),
        zip(
            train_batches(dataset, everything, windows, 3, 5, 7),
            train_batches(dataset, everything, windows, 3, 5, 7, num_workers=workers),
            strict=True,
        ),
    ):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_train_batches_go_on_in_the_middle_of_an_epoch(dataset: EventDataset, workers: int) -> None:
    windows = PLAIN._replace(jitter=0.5)
    whole = list(train_batches(dataset, np.arange(20), windows, 3, 5, 7))
    for first in range(len(whole) + 1):
        rest = list(train_batches(dataset, np.arange(20), windows, 3, 5, 7, first_batch=first, num_workers=workers))
        assert len(rest) == len(whole) - first
        for one, other in zip(rest, whole[first:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_recordings_window_does_not_depend_on_the_batch_size(dataset: EventDataset) -> None:
    windows = PLAIN._replace(jitter=0.5)
    inputs = [
        torch.cat([batch.input for batch in train_batches(dataset, np.arange(20), windows, size, 0, 0)], dim=1)
        for size in (1, 6, 20)
    ]
    assert torch.equal(inputs[0], inputs[1])
    assert torch.equal(inputs[0], inputs[2])


def test_batches_change_with_seed_and_epoch(dataset: EventDataset) -> None:
    windows = PLAIN._replace(jitter=0.5)
    inputs = [
        next(train_batches(dataset, np.array([19]), windows, 1, seed, epoch)).input.numpy().tobytes()
        for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]
    ]
    assert len(set(inputs)) == 3
    assert inputs[0] == inputs[3]


def test_batches_of_workers_can_be_left_before_the_end(dataset: EventDataset) -> None:
    batches = train_batches(dataset, np.arange(20), PLAIN, 2, 0, 0, num_workers=2)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert next(batches, None) is None


def test_shift_moves_the_whole_window_and_only_in_training(dataset: EventDataset) -> None:
    moving = PLAIN._replace(shift=2)
    everything = np.arange(dataset.num_recordings)
    batch = next(train_batches(dataset, everything, moving, 20, 0, 1)).input.numpy()
    still = next(train_batches(dataset, everything, PLAIN, 20, 0, 1)).input.numpy()
    moves = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    found = [
        [move for move in moves if np.array_equal(batch[:, place], event_batches.shifted(still[:, place], *move))]
        for place in range(20)
    ]
    assert all(len(candidates) == 1 for candidates in found)
    assert len({candidates[0] for candidates in found}) > 5
    assert torch.equal(first_windows(dataset, moving)[0].input, first_windows(dataset, PLAIN)[0].input)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, -2), (-2, 0), (9, 9)])
def test_shifted_equals_moving_pixel_by_pixel(down: int, right: int) -> None:
    maps = np.arange(1, 2 * 4 * 5 + 1).reshape(2, 4, 5)
    moved = event_batches.shifted(maps, down, right)
    for channel, y, x in itertools.product(range(2), range(4), range(5)):
        inside = 0 <= y - down < 4 and 0 <= x - right < 5
        assert moved[channel, y, x] == (maps[channel, y - down, x - right] if inside else 0)
