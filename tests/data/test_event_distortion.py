"""Recordings turned and stretched in training: pixel by pixel, within their bounds, and never in a test."""

import math

import numpy as np
import pytest
import torch
from event_builders import prepared, random_events
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.events.batches import train_batches
from qsnn.data.events.dataset import EventDataset
from qsnn.data.events.distortion import NOWHERE, Distortion, draw_distortion, moved_pixels
from qsnn.data.events.windows import WindowSettings
from qsnn.data.recording import Recording
from qsnn.data.sources.nmnist import NMNISTOption
from qsnn.data.streams import random_stream

PLAIN = WindowSettings(dt=0.001, num_steps=50, input_mode=0, downsample=1, jitter=0.0)
MOVED = PLAIN._replace(rotation=20.0, zoom=0.3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> EventDataset:
    """Six recordings of 8 x 8 pixels."""
    recordings = [Recording(f"r{i}", i % 3, f"g{i}", False, random_events(i, 300, 8, 50_000)) for i in range(6)]
    return prepared(tmp_path_factory.mktemp("cache"), recordings, (8, 8))


def test_moved_pixels_are_all_pixels_without_a_distortion() -> None:
    assert np.array_equal(moved_pixels((5, 8), Distortion(0.0, 1.0, 1.0)), np.arange(40))


def test_moved_pixels_turn_clockwise_and_grow_about_the_centre() -> None:
    quarter = moved_pixels((3, 3), Distortion(math.pi / 2, 1.0, 1.0))
    assert quarter.reshape(3, 3).tolist() == [[2, 5, 8], [1, 4, 7], [0, 3, 6]]
    taller = moved_pixels((3, 3), Distortion(0.0, 2.0, 1.0))
    assert taller.reshape(3, 3).tolist() == [[NOWHERE] * 3, [3, 4, 5], [NOWHERE] * 3]


@settings(max_examples=20, deadline=None)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.floats(-4, 4), st.floats(0.3, 3), st.floats(0.3, 3))
def test_moved_pixels_are_those_of_the_equation_pixel_by_pixel(
    sensor: tuple[int, int], angle: float, height: float, width: float
) -> None:
    moved = moved_pixels(sensor, Distortion(angle, height, width))
    for pixel, found in enumerate(moved.tolist()):
        y, x = pixel // sensor[1] - (sensor[0] - 1) / 2, pixel % sensor[1] - (sensor[1] - 1) / 2
        down = math.floor(height * (x * math.sin(angle) + y * math.cos(angle)) + sensor[0] / 2)
        right = math.floor(width * (x * math.cos(angle) - y * math.sin(angle)) + sensor[1] / 2)
        inside = 0 <= down < sensor[0] and 0 <= right < sensor[1]
        assert found == (down * sensor[1] + right if inside else NOWHERE)


def test_draw_distortion_stays_within_its_bounds_and_fills_them() -> None:
    drawn = np.array([draw_distortion(30, 0.25, random_stream(seed, "draw")) for seed in range(200)])
    angles, factors = np.degrees(drawn[:, 0]), drawn[:, 1:]
    assert np.abs(angles).max() <= 30
    assert factors.min() >= 0.8
    assert factors.max() <= 1.25
    assert (angles.min(), angles.max()) == pytest.approx((-30, 30), abs=2)
    assert (factors.min(), factors.max()) == pytest.approx((0.8, 1.25), abs=0.02)


def test_train_batches_distort_each_recording_by_its_own_draw_and_lose_no_event_inside(dataset: EventDataset) -> None:
    def batch(windows: WindowSettings, epoch: int = 1) -> torch.Tensor:
        return next(train_batches(dataset, np.arange(6), windows, 6, 0, epoch)).input

    plain, moved = batch(PLAIN), batch(MOVED)
    assert torch.equal(moved, batch(MOVED))
    assert not torch.equal(moved, batch(MOVED, epoch=2))
    changed = [not torch.equal(plain[:, place], moved[:, place]) for place in range(6)]
    assert all(changed)
    # A turn by half a circle keeps every event on the sensor, and its step and polarity.
    turned = batch(PLAIN._replace(rotation=1e-9))
    assert torch.equal(turned, plain)


def test_windows_of_a_data_set_are_distorted_in_training_only() -> None:
    chosen = NMNISTOption(rotation=20.0, zoom=0.3)
    windows = [
        chosen.windows(0.001, training)._replace(num_steps=50, jitter=0.0, downsample=1) for training in (True, False)
    ]
    assert windows == [MOVED, PLAIN]
