"""The data set that needs no download: eleven gestures, drawn as moving arms and seen by a model of a DVS pixel.

It has the classes, the sensor and the kinds of light of the IBM DVS128 Gesture set, and like there the users of the test
are not those of the training. Every user has a size, a place, a speed and clothes of their own, every light a contrast,
a background and a noise, every recording a start, a tempo that wavers and paths a little off.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsnn.data.dvs_pixel import add_noise, changes_to_events
from qsnn.data.events import Events, Recording
from qsnn.data.gesture_motion import CLASSES, arm_joints, body_sway, draw_take, draw_user, hand_paths
from qsnn.data.gesture_scene import SENSOR, body_segments, draw_background, draw_look, paint_frames
from qsnn.data.streams import random_stream
from qsnn.errors import ConfigError

VERSION = 1  # of the generator: grows whenever the same options give other events
_FRAME = 4000  # microseconds between two frames
REFRACTORY = 1000  # microseconds
_LONGEST = 600.0  # seconds


class Light(NamedTuple):
    """``contrast``: factor on the scene's logarithms; ``background``: its unevenness; ``threshold`` and ``noise_rate``
    (Hz) of the pixels, whose biases were set for this light.
    """

    contrast: float
    background: float
    threshold: float
    noise_rate: float


LIGHTS = {
    "fluorescent": Light(contrast=1.0, background=0.20, threshold=0.20, noise_rate=0.30),
    "fluorescent_led": Light(contrast=1.1, background=0.15, threshold=0.20, noise_rate=0.20),
    "lab": Light(contrast=0.85, background=0.25, threshold=0.18, noise_rate=0.40),
    "led": Light(contrast=1.2, background=0.12, threshold=0.22, noise_rate=0.10),
    "natural": Light(contrast=0.7, background=0.30, threshold=0.16, noise_rate=0.60),
}


def user_name(user: int) -> str:
    """The name of a user, counted from 1, as in the file names of the IBM set."""
    return f"user{user:02d}"


def trial_name(user: int, light: str) -> str:
    """The name of the file that a user in a light would fill."""
    return f"{user_name(user)}_{light}"


def generate_recording(seed: int, user: int, light: str, label: int, repetition: int, duration: int) -> Events:
    """One gesture of ``duration`` microseconds: a pure function of its arguments.

    The person depends on seed and user alone, the background on seed, user and light.
    """
    place = f"synthetic_gesture/{user_name(user)}"
    person = random_stream(seed, place)
    mover, look = draw_user(person), draw_look(person)
    background = draw_background(random_stream(seed, f"{place}/{light}"), LIGHTS[light].background)
    rng = random_stream(seed, f"{place}/{light}/{label}/{repetition}")
    take = draw_take(rng)
    times = np.append(np.arange(0, duration - 1, _FRAME), duration - 1)
    t = times * 1e-6
    joints = arm_joints(hand_paths(label, mover, take, rng, t), mover.outward)
    segments = body_segments(joints, body_sway(mover, take, t), mover, look, LIGHTS[light].contrast)
    events = changes_to_events(paint_frames(background, segments), times, LIGHTS[light].threshold, REFRACTORY)
    return add_noise(events, SENSOR, duration, LIGHTS[light].noise_rate, REFRACTORY, rng)


class SyntheticGesture:
    """The event source dataset=synthetic_gesture, see `qsnn.data.event_source.EventSource`.

    ``num_users`` train, the ``num_test_users`` after them test; each makes every gesture ``repetitions`` times in each of
    ``lights``, for ``duration`` seconds. A recording depends on seed, user, light, class, repetition and duration only, so
    that a larger set holds the smaller one.
    """

    name = "synthetic_gesture"
    classes = CLASSES
    sensor = SENSOR
    root: Path | None = None
    in_time = False

    def __init__(
        self, num_users: int, num_test_users: int, lights: Sequence[str], repetitions: int, duration: float, seed: int
    ) -> None:
        self.num_users, self.num_test_users, self.lights = num_users, num_test_users, tuple(lights)
        self.repetitions, self.duration, self.seed = repetitions, duration, seed
        self._check()

    def _check(self) -> None:
        """ConfigError for options that no set can be made with."""
        for key in ("num_users", "num_test_users", "repetitions"):
            if getattr(self, key) < 1:
                raise ConfigError(f"dataset.{key}={getattr(self, key)}: must be 1 or more")
        if not 0.01 <= self.duration <= _LONGEST:
            raise ConfigError(f"dataset.duration={self.duration}: must be 0.01 to {_LONGEST:g} seconds")
        if self.seed < 0:
            raise ConfigError(f"dataset.seed={self.seed}: must be 0 or more")
        unknown = [light for light in self.lights if light not in LIGHTS]
        if unknown or not self.lights or len(set(self.lights)) < len(self.lights):
            raise ConfigError(
                f"dataset.lights=[{','.join(self.lights)}]: must be different ones, at least one, of {', '.join(LIGHTS)}"
            )

    @property
    def duration_us(self) -> int:
        """Length of a recording in microseconds."""
        return round(self.duration * 1e6)

    def is_test(self, user: int) -> bool:
        """Whether a user, counted from 1, belongs to the test."""
        return user > self.num_users

    def users(self) -> range:
        """All users, counted from 1."""
        return range(1, self.num_users + self.num_test_users + 1)

    def fingerprint(self) -> str:
        """A hash of the options and of the generator's version."""
        options = [VERSION, self.num_users, self.num_test_users, self.lights, self.repetitions, self.duration_us]
        return hashlib.sha256(json.dumps([*options, self.seed]).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.users()) * len(self.lights) * len(CLASSES) * self.repetitions

    def recordings(self) -> Iterator[Recording]:
        """Generate one recording after the other: by user, light, repetition, class."""
        for user in self.users():
            for light in self.lights:
                yield from self.trial(user, light)

    def trial(self, user: int, light: str) -> Iterator[Recording]:
        """What would lie in one file: all classes one after the other, and that ``repetitions`` times.

        A recording is named like a piece of the file ``userNN_LIGHT``, which pieces count from 1.
        """
        for repetition in range(self.repetitions):
            for label in range(len(CLASSES)):
                events = generate_recording(self.seed, user, light, label, repetition, self.duration_us)
                name = f"{trial_name(user, light)}/{repetition * len(CLASSES) + label + 1}"
                yield Recording(name, label, user_name(user), self.is_test(user), events)
