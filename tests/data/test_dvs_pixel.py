import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.data.generators.gestures.dvs_pixel import add_noise, changes_to_events
from qsnn.data.recording import Events


def events_of(values: list[float], threshold: float, refractory: int = 0) -> Events:
    """Events of one pixel that sees ``values``, one every millisecond."""
    frames = np.array(values, dtype=np.float32).reshape(-1, 1, 1)
    return changes_to_events(frames, np.arange(len(values)) * 1000, threshold, refractory)


def no_events() -> Events:
    return Events(np.empty(0, np.int64), np.empty(0, np.int16), np.empty(0, np.int16), np.empty(0, np.bool_))


def test_pixel_sends_an_event_a_threshold_at_the_interpolated_times():
    # The logarithm grows by 2 in 1000 us: thresholds of 0.5 are passed after 250, 500, 750 and 1000 us.
    events = events_of([0, 2], threshold=0.5)
    assert events.t.tolist() == [250, 500, 750, 1000]
    assert events.polarity.all()


def test_pixel_counts_a_threshold_over_several_frames():
    # 0.125 a frame: 0.25 is passed at every second frame.
    events = events_of([0, 0.125, 0.25, 0.375, 0.5], threshold=0.25)
    assert events.t.tolist() == [2000, 4000]


def test_pixel_sends_off_events_where_the_light_shrinks():
    events = events_of([1, 0], threshold=0.25)
    assert events.t.tolist() == [250, 500, 750, 1000]
    assert not events.polarity.any()


def test_pixel_is_silent_below_the_threshold():
    assert len(events_of([0, 0.24, -0.24, 0.24, 0], threshold=0.25).t) == 0


def test_pixel_remembers_the_last_event_and_not_the_last_frame():
    # ON at 0.625 (625 us). 0.5 and 1 are less than a threshold from it, 0 is not: OFF where the light falls to 0.
    events = events_of([0, 1, 0.5, 0], threshold=0.625)
    assert events.t.tolist() == [625, 3000]
    assert events.polarity.tolist() == [True, False]


def test_pixel_is_blind_for_the_refractory_period_and_starts_anew_after_it():
    # Slope 1/1000 us, threshold 0.25, blind for 125 us: an event every 250 + 125 us, the first after 250 us.
    events = events_of([0, 1, 2], threshold=0.25, refractory=125)
    assert events.t.tolist() == [250, 625, 1000, 1375, 1750]


def test_pixel_blind_over_whole_frames_remembers_what_it_sees_afterwards():
    # Event at 500 us, blind until 2750 us, where the ramp of the last millisecond has come down by 0.75.
    events = events_of([0, 1, 1, 0], threshold=0.5, refractory=2250)
    assert events.t.tolist() == [500]
    # Blind until 2250 us only: from 0.75 on the light still shrinks by 0.5, until 2750 us.
    events = events_of([0, 1, 1, 0], threshold=0.5, refractory=1750)
    assert events.t.tolist() == [500, 2750]


def test_pixels_are_independent_and_lie_where_they_lie():
    frames = np.zeros((2, 3, 5), dtype=np.float32)
    frames[1, 2, 4], frames[1, 0, 3] = 1, -1
    events = changes_to_events(frames, np.array([0, 100]), threshold=0.75, refractory=0)
    assert events.t.tolist() == [75, 75]
    assert list(zip(events.x.tolist(), events.y.tolist(), strict=True)) == [(3, 0), (4, 2)]
    assert events.polarity.tolist() == [False, True]


def test_events_are_complete_where_there_are_more_than_at_first_expected():
    # 2^18 events, twice the room of the first attempt.
    frames = np.stack([np.zeros((64, 64), np.float32), np.full((64, 64), 64, np.float32)])
    events = changes_to_events(frames, np.array([0, 64_000]), threshold=1.0, refractory=0)
    assert len(events.t) == 64 * 64 * 64
    assert (np.bincount(events.t)[1000::1000] == 64 * 64).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=30),
    st.floats(0.05, 1.5),
    st.integers(0, 5000),
)
def test_pixel_events_are_in_order_keep_the_refractory_period_and_follow_the_light(values, threshold, refractory):
    events = events_of(values, threshold, refractory)
    assert (np.diff(events.t) >= refractory).all()
    assert ((events.t >= 0) & (events.t <= 1000 * (len(values) - 1))).all()
    if refractory == 0:  # then the events are the light in steps of the threshold
        steps = np.where(events.polarity, 1, -1).sum()
        assert abs(values[-1] - values[0] - steps * threshold) < threshold + 1e-3
    if np.ptp(values) < threshold:
        assert len(events.t) == 0


def test_noise_has_the_rate_of_a_poisson_process_in_every_pixel():
    events = add_noise(no_events(), (16, 32), 10_000_000, noise_rate=5.0, refractory=0, rng=np.random.default_rng(0))
    counts = np.zeros((16, 32))
    np.add.at(counts, (events.y, events.x), 1)
    # 50 expected in each of 512 pixels, with the variance of a Poisson number.
    assert abs(counts.mean() - 50) < 5 * np.sqrt(50 / 512)
    assert 0.75 < counts.var() / 50 < 1.25
    assert abs(events.polarity.mean() - 0.5) < 0.02


def test_noise_gives_way_to_events_within_the_refractory_period():
    given_events = Events(
        np.arange(0, 1_000_000, 10_000), np.full(100, 1, np.int16), np.zeros(100, np.int16), np.ones(100, np.bool_)
    )
    events = add_noise(given_events, (1, 2), 1_000_000, noise_rate=500.0, refractory=4000, rng=np.random.default_rng(0))
    for x in (0, 1):
        assert (np.diff(events.t[events.x == x]) >= 4000).all()
    assert np.isin(given_events.t, events.t[(events.x == 1) & events.polarity]).all()
    assert (events.x == 1).sum() > 100  # noise is left between them


@pytest.mark.parametrize("rate", [0.0, 100.0])
def test_noise_keeps_the_order_of_time(rate):
    events = add_noise(
        events_of([0, 1, 0, 1], 0.25), (1, 1), 3000, noise_rate=rate, refractory=100, rng=np.random.default_rng(0)
    )
    assert (np.diff(events.t) >= 0).all()
    assert len(events.t) >= 12
