"""Events one by one: the inputs that they make are those of a batch of training, and nothing waits for the end."""

from collections.abc import Iterator

import numpy as np
import pytest
from engine_models import SOURCE, dense, spikes
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.events.windows import SIGNED_MODES, WindowSettings, input_shape, pixel_table, raster_type, scatter
from qsnn.data.recording import Events
from qsnn.deploy import IntegerEngine
from qsnn.deploy.from_net.model_of import event_input
from qsnn.deploy.model import COUNT, Decision, Input, Model
from qsnn.deploy.recordings import Event, listen, one_by_one, steps_of
from qsnn.errors import DataError

SENSOR = (5, 7)


def some_events(seed: int, count: int) -> Events:
    rng = np.random.default_rng(seed)
    y, x = (rng.integers(0, side, count).astype(np.int16) for side in SENSOR)
    return Events(np.sort(rng.integers(0, 9000, count)), x, y, rng.random(count) < 0.5)


def as_training(events: Events, windows: WindowSettings) -> np.ndarray:
    """The raster (T, 1, C, H, W) of a test window."""
    shape = (windows.num_steps, 1, *input_shape(SENSOR, windows))
    batch = np.zeros(shape, raster_type(windows.input_mode))
    inside = events.t < windows.num_steps * windows.step
    t, x, y, on = (part[inside] for part in events)
    address = 2 * (y.astype(np.int64) * SENSOR[1] + x) + on
    scatter(batch, 0, t // windows.step, pixel_table(SENSOR, windows)[address], address & 1)
    return batch


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(1, 3), st.integers(1, 12), st.integers(0, 120))
def test_events_one_by_one_make_the_rasters_of_training(
    seed: int, mode: int, downsample: int, steps: int, count: int
) -> None:
    windows, events = WindowSettings(0.001, steps, mode, downsample, 0.0), some_events(seed, count)
    given_input = event_input(input_shape(SENSOR, windows), SENSOR, windows)
    assert given_input.signed == (mode in SIGNED_MODES)
    found = list(steps_of(one_by_one(events), given_input))
    assert (np.array(found) == as_training(events, windows)).all()
    assert len(found) == steps


def event_model(steps: int) -> Model:
    layer = dense("output", spikes(1, 70, 2)[0].tolist())
    given_input = Input((2, *SENSOR), False, 1000, steps, SENSOR, 0, 1)
    return Model(given_input, (layer,), Decision(COUNT, 0, ("a", "b")), SOURCE)


def test_there_is_a_prediction_after_each_step_before_the_recording_ends() -> None:
    asked = []

    def camera() -> Iterator[Event]:
        for event in one_by_one(some_events(3, 4000)):
            asked.append(event.t)
            yield event

    engine = IntegerEngine(event_model(0))
    for number, state in enumerate(listen(engine, camera())):
        assert state.steps == number + 1
        if number < 8:
            assert 1000 * (number + 1) <= asked[-1] < 1000 * (number + 2)  # one event of the next step, no more
    assert number == 8
    assert state.votes.sum() > 0


def test_a_silent_recording_has_the_steps_of_its_window() -> None:
    states = list(listen(IntegerEngine(event_model(6)), []))
    assert [state.steps for state in states] == [1, 2, 3, 4, 5, 6]
    assert len(list(listen(IntegerEngine(event_model(6)), [], steps=2))) == 2


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([Event(5, 0, 0, True), Event(4, 0, 0, True)], "an event at 4 us follows one at 5 us: time goes backward"),
        ([Event(0, 7, 0, True)], "an event at x = 7, y = 0 lies beside the sensor of 5 x 7 pixels"),
    ],
)
def test_events_that_cannot_be_are_refused(events: list[Event], found: str) -> None:
    with pytest.raises(DataError, match=found):
        list(listen(IntegerEngine(event_model(3)), events))


def test_events_for_a_net_of_rasters_are_refused() -> None:
    with pytest.raises(DataError, match="the net takes rasters, no events"):
        next(steps_of([], Input((3,), False, 1000, 0)))
