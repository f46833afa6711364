import itertools

import numpy as np
import pytest

from qsnn.data.generators.gestures.lights import LIGHTS
from qsnn.data.generators.gestures.motion import LEFT_CLOCKWISE, RIGHT_CLOCKWISE, SENSOR
from qsnn.data.generators.gestures.recording import REFRACTORY, generate_recording
from qsnn.data.generators.gestures.scene import paint_frames
from qsnn.data.generators.synthetic_gesture import SyntheticGesture, SyntheticGestureOption
from qsnn.data.recording import Events
from qsnn.data.sources.dvs_gesture import DVSGesture
from qsnn.options import value_problems

SMALL = {
    "num_users": 2,
    "num_test_users": 1,
    "lights": ["led", "natural"],
    "repetitions": 1,
    "duration": 0.1,
    "generator_seed": 0,
}


def make_source(**changes: object) -> SyntheticGesture:
    return SyntheticGesture(**{**SMALL, **changes})  # type: ignore[arg-type]


def equal(one: Events, other: Events) -> bool:
    return all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


def test_source_yields_every_user_light_and_class_once():
    source = make_source()
    recordings = list(source.recordings())
    assert len(recordings) == len(source) == 3 * 2 * 11
    assert len({recording.name for recording in recordings}) == len(recordings)
    assert [recording.label for recording in recordings[:12]] == [*range(11), 0]
    assert recordings[11].name == "user01_natural/1"


def test_source_repeats_gestures_with_other_events():
    source = make_source(num_users=1, lights=["lab"], repetitions=2)
    recordings = list(itertools.islice(source.recordings(), 0, None, 11))
    assert len(recordings) == 4
    assert recordings[0].label == recordings[1].label == 0
    assert not equal(recordings[0].events, recordings[1].events)


def test_users_of_the_test_do_not_train():
    recordings = list(make_source().recordings())
    training = {recording.group for recording in recordings if not recording.is_test}
    test = {recording.group for recording in recordings if recording.is_test}
    assert training == {"user01", "user02"}
    assert test == {"user03"}


def test_recordings_are_the_same_whenever_they_are_read_and_in_any_larger_set():
    first, again = (list(make_source().recordings()) for _ in range(2))
    assert all(equal(one.events, other.events) for one, other in zip(first, again, strict=True))
    larger = {r.name: r.events for r in make_source(num_users=3, lights=["lab", "natural", "led"]).recordings()}
    assert all(equal(one.events, larger[one.name]) for one in first)


@pytest.mark.parametrize(
    "change",
    [
        {"generator_seed": 1},
        {"duration": 0.2},
        {"num_users": 3},
        {"num_test_users": 2},
        {"repetitions": 2},
        {"lights": ["led"]},
    ],
)
def test_fingerprint_tells_sets_apart(change: dict):
    assert make_source().fingerprint() == make_source().fingerprint()
    assert make_source(**change).fingerprint() != make_source().fingerprint()


def test_recordings_depend_on_every_argument():
    reference = (0, 1, "led", 3, 0, 100_000)
    others = [(1, 1, "led", 3, 0), (0, 2, "led", 3, 0), (0, 1, "lab", 3, 0), (0, 1, "led", 4, 0), (0, 1, "led", 3, 1)]
    events = generate_recording(*reference)
    assert equal(events, generate_recording(*reference))
    assert not any(equal(events, generate_recording(*other, 100_000)) for other in others)


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("label", [0, 10])
def test_events_lie_in_time_and_sensor_and_keep_the_refractory_period(light: str, label: int):
    duration = 500_000
    events = generate_recording(0, 1, light, label, 0, duration)
    assert [part.dtype for part in events] == [np.int64, np.int16, np.int16, np.bool_]
    assert (np.diff(events.t) >= 0).all()
    assert events.t[0] >= 0
    assert events.t[-1] < duration
    assert ((events.x >= 0) & (events.x < SENSOR[1]) & (events.y >= 0) & (events.y < SENSOR[0])).all()
    address = events.y.astype(int) * SENSOR[1] + events.x
    order = np.lexsort((events.t, address))
    gaps = np.diff(events.t[order])[np.diff(address[order]) == 0]
    assert gaps.min() >= REFRACTORY
    assert 1500 < len(events.t) < 40_000
    assert 0.4 < events.polarity.mean() < 0.6


@pytest.mark.parametrize(("label", "is_left_of_the_picture"), [(RIGHT_CLOCKWISE, True), (LEFT_CLOCKWISE, False)])
def test_right_arm_is_on_the_left_of_the_picture(label: int, is_left_of_the_picture: bool):
    events = generate_recording(0, 1, "led", label, 0, 1_000_000)
    assert ((events.x < 64).mean() > 0.6) == is_left_of_the_picture


def test_painted_line_has_its_shade_inside_and_an_edge_that_fades():
    # A horizontal line of radius 3 from x = 10 to x = 20 at y = 8; its edge fades over 1.6 pixels.
    line = np.array([[[10, 8, 20, 8, 3, -0.5]]], dtype=np.float32)
    (frame,) = paint_frames(np.full((32, 32), 0.25, np.float32), line)
    assert (frame[6:11, 10:21] == -0.5).all()
    assert np.allclose(frame[[5, 11], 15], (0.25 - 0.5) / 2)  # half way on the radius itself
    assert (frame[[3, 4, 12, 13], 15] == 0.25).all()
    assert frame[8, 6] == frame[8, 24] == 0.25
    assert frame[8, 8] == frame[8, 22] == -0.5  # round ends


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"num_users": 0}, "dataset.num_users=0 is not possible: it must be at least 1"),
        ({"num_test_users": 0}, "dataset.num_test_users=0 is not possible"),
        ({"repetitions": -1}, "dataset.repetitions=-1 is not possible"),
        ({"duration": 0.0}, "dataset.duration=0.0 is not possible: it must be at least 0.01 and at most 30"),
        ({"generator_seed": -1}, "dataset.generator_seed=-1 is not possible"),
        ({"lights": []}, "dataset.lights=[] is not possible"),
        ({"lights": ["led", "led"]}, "give different ones"),
        ({"lights": ["sun"]}, "fluorescent, fluorescent_led, lab, led, natural"),
    ],
)
def test_option_tells_impossible_values_in_one_line(change: dict, expected: str):
    option = SyntheticGestureOption(**{**SMALL, **change})
    (told,) = (*value_problems(option, "dataset."), *option.problems())
    assert expected in told
    assert "\n" not in told


def test_source_has_the_classes_and_the_sensor_of_the_real_set():
    assert SyntheticGesture.classes == DVSGesture.classes
    assert SyntheticGesture.sensor == DVSGesture.sensor
