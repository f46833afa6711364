"""The data set that needs no download: eleven gestures, drawn as moving arms and seen by a model of a DVS pixel.

It has the classes, the sensor and the kinds of light of the IBM DVS128 Gesture set, and like there the users of the test
are not those of the training. Every user has a size, a place, a speed and clothes of their own, every light a contrast,
a background and a noise, every recording a start, a tempo that wavers and paths a little off.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qsnn.data.events.options import EventData
from qsnn.data.generators.gestures.lights import LIGHTS
from qsnn.data.generators.gestures.motion import CLASSES, SENSOR
from qsnn.data.recording import Recording
from qsnn.options import impossible, key, option

VERSION = 1  # of the generator: grows whenever the same options give other events
_LONGEST = 30.0  # seconds: all frames of a recording are in memory at once, 16 MB a second


def user_name(user: int) -> str:
    """The name of a user, counted from 1, as in the file names of the IBM set."""
    return f"user{user:02d}"


def trial_name(user: int, light: str) -> str:
    """The name of the file that a user in a light would fill."""
    return f"{user_name(user)}_{light}"


class SyntheticGesture:
    """The event source dataset=synthetic_gesture, see `qsnn.data.events.source.EventSource`.

    ``num_users`` train, the ``num_test_users`` after them test; each makes every gesture ``repetitions`` times in each of
    ``lights``, for ``duration`` seconds. A recording depends on ``generator_seed``, user, light, class, repetition and
    duration only: a set of more users, lights or repetitions has it too.
    """

    name = "synthetic_gesture"
    classes = CLASSES
    sensor = SENSOR
    root: Path | None = None
    in_time = False

    def __init__(
        self,
        num_users: int,
        num_test_users: int,
        lights: Sequence[str],
        repetitions: int,
        duration: float,
        generator_seed: int,
    ) -> None:
        self.num_users, self.num_test_users, self.lights = num_users, num_test_users, tuple(lights)
        self.repetitions, self.duration, self.generator_seed = repetitions, duration, generator_seed

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
        return hashlib.sha256(json.dumps([*options, self.generator_seed]).encode()).hexdigest()

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
        from qsnn.data.generators.gestures.recording import (
            generate_recording,  # compiles its kernels; a prepared set needs none
        )

        for repetition in range(self.repetitions):
            for label in range(len(CLASSES)):
                events = generate_recording(self.generator_seed, user, light, label, repetition, self.duration_us)
                name = f"{trial_name(user, light)}/{repetition * len(CLASSES) + label + 1}"
                yield Recording(name, label, user_name(user), self.is_test(user), events)


@option("dataset", "synthetic_gesture")
@dataclass
class SyntheticGestureOption(EventData):
    """Generated moving arms of 11 gestures, 128 x 128 pixels: nothing to download."""

    num_users: int = key(12, "people for training and validation", "", "none", at_least=1)
    num_test_users: int = key(4, "other people, for testing", "", "none", at_least=1)
    lights: list[str] = key(
        ["fluorescent", "led", "natural"], "lights: fluorescent, fluorescent_led, lab, led, natural", "", "none",
        choices=tuple(LIGHTS),
    )  # fmt: skip
    repetitions: int = key(1, "recordings of each gesture by each person in each light", "", "none", at_least=1)
    duration: float = key(1.5, "length of a recording, at most 30", "s", "none", at_least=0.01, at_most=_LONGEST)
    window_test: float = key(1.5, "length of the first window, on which is tested", "s", above=0)
    generator_seed: int = key(0, "seed of the generated recordings", "", "none", at_least=0)

    def problems(self) -> Iterator[str]:
        """No light, or one twice."""
        yield from super().problems()
        if not self.lights or len(set(self.lights)) < len(self.lights):
            yield impossible(
                "dataset.lights", self.lights, f"give different ones, at least one, of {', '.join(LIGHTS)}"
            )

    def source(self) -> SyntheticGesture:
        """The generator."""
        users = self.num_users, self.num_test_users
        return SyntheticGesture(*users, self.lights, self.repetitions, self.duration, self.generator_seed)
