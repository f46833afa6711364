"""Every key of the event data sets."""

from dataclasses import dataclass

from qsnn.config.keys import key


@dataclass
class EventDatasetConfig:
    """What all event data sets share."""

    cache: str | None = key(
        None, "folder of prepared recordings; null: QSNN_CACHE, else qsnn in XDG_CACHE_HOME, else ~/.cache/qsnn"
    )
    window_train: float = key(0.5, "length of the random windows in training", "s", "500 steps, fixed")
    window_test: float = key(1.8, "length of the first window, on which is tested", "s", "1800 steps, fixed")
    input_mode: int = key(
        0,
        "channels: 0 ON and OFF, 1 any event, 2 one signed (sign of ON less OFF events in a bin), 3 the signed one twice",
        "",
        "input_mode",
    )
    downsample: int = key(4, "pixels of the sensor, in both directions, that become one", "pixels", "ds")
    jitter: float = key(
        0.5, "event times move by trunc(jitter * N(0,1)) whole milliseconds in training", "ms", "0.5, fixed"
    )
    shift: int = key(
        0, "training windows move by up to so many pixels, of the smaller raster, in each direction", "pixels", "none"
    )
    num_workers: int = key(0, "threads that prepare batches ahead; any number gives the same batches")
    num_folds: int | None = key(
        None, "cross-validate over all recordings in that many folds; null: the data set's own test part", "", "none"
    )
    fold: int = key(0, "which fold is for testing, 0..num_folds-1", "", "none")
    validation_share: float = key(0.2, "share of what is not for testing that chooses the best epoch", "", "none")
    seed: int = key(0, "seed of the split and of windows, jitter and order", "", "none: not seeded")


@dataclass
class DVSGestureConfig(EventDatasetConfig):
    """dataset=dvs_gesture: 11 hand gestures, 128 x 128 pixels, from IBM Research's DVS128 Gesture release."""

    root: str | None = key(None, "folder that holds trials_to_train.txt", "", "fixed paths")
    sort_time: bool = key(
        False, "sort events whose time goes backward, between two resets of the clock, instead of refusing the file"
    )


@dataclass
class SlowPokerConfig(EventDatasetConfig):
    """dataset=slow_poker: 4 suits, 128 x 128 pixels, one long recording each, cut into pieces and split by time."""

    root: str | None = key(None, "folder that holds the four recordings, .aedat with club, diamond ... in their names")
    window_test: float = key(0.5, "length of the first window, on which is tested", "s")
    piece_duration: float | None = key(
        0.5, "length of the pieces that a recording is cut into; null: by piece_events", "s", "none"
    )
    piece_events: int | None = key(
        None, "events of a piece; null: by piece_duration", "events", "700, 1500 or 2500, fixed"
    )
    test_share: float = key(0.2, "share of each recording, at its end, that is for testing", "", "none")
    on_bit: int = key(1, "value of the polarity bit that means ON, 0 or 1; sources disagree")
    mirror_x: bool = key(False, "exchange left and right: for recordings whose x counts from the right, not the left")
    mirror_y: bool = key(False, "exchange top and bottom: for recordings whose y counts from the top, not as jAER's do")
    sort_time: bool = key(
        False, "sort events whose time goes backward, between two resets of the clock, instead of refusing the file"
    )
    ignore_external_bit: bool = key(
        False, "read files in which each event has bit 15 set, which marks external ones, as if none had; else refused"
    )


@dataclass
class NMNISTConfig(EventDatasetConfig):
    """dataset=nmnist: 10 digits, 34 x 34 pixels, about 0.3 s each, from Garrick Orchard's N-MNIST release."""

    root: str | None = key(None, "folder that holds Train/<digit>/<id>.bin and Test/<digit>/<id>.bin")
    window_train: float = key(0.3, "length of the random windows in training", "s")
    window_test: float = key(0.3, "length of the first window, on which is tested", "s")
    downsample: int = key(1, "pixels of the sensor, in both directions, that become one", "pixels", "ds")


@dataclass
class SyntheticGestureConfig(EventDatasetConfig):
    """dataset=synthetic_gesture: moving arms of 11 gestures, 128 x 128 pixels, generated, so that nothing is downloaded."""

    num_users: int = key(12, "people for training and validation", "", "none")
    num_test_users: int = key(4, "other people, for testing", "", "none")
    lights: list[str] = key(
        ["fluorescent", "led", "natural"], "lights: fluorescent, fluorescent_led, lab, led, natural", "", "none"
    )
    repetitions: int = key(1, "recordings of each gesture by each person in each light", "", "none")
    duration: float = key(1.5, "length of a recording, at most 30", "s", "none")
    window_test: float = key(1.5, "length of the first window, on which is tested", "s")
    generator_seed: int = key(0, "seed of the generated recordings", "", "none")
