"""Events as they come to the steps of an engine's input: a window from its start, in bins of a step, as a batch of training
has them.

A pixel of `downsample` pixels of the sensor in both directions; channels by `mode` (dataset.input_mode): 0 ON, then OFF, 1 any
event, 2 the sign of ON less OFF events in the step, 3 that twice. Only the step at hand is kept.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from qsnn.data.recording import Events
from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.engine import EngineState, IntegerEngine
from qsnn.deploy.model import Input
from qsnn.errors import DataError

SIGNED_MODES = (2, 3)


class Event(NamedTuple):
    """``t`` in microseconds from the recording's start; ``x`` to the right, ``y`` downward; ``on``: the light grew."""

    t: int
    x: int
    y: int
    on: bool


def one_by_one(events: Events) -> Iterator[Event]:
    """What a reader of `qsnn.data.formats` gave, event by event."""
    for t, x, y, on in zip(*events, strict=True):
        yield Event(int(t), int(x), int(y), bool(on))


class _Bin:
    """The step at hand: what its events make of the maps (C, H, W)."""

    def __init__(self, settings: Input) -> None:
        self.settings = settings
        self.sums = np.zeros(settings.shape, np.int64)

    def take(self, event: Event) -> None:
        """Raises DataError for an event beside the sensor."""
        height, width = self.settings.sensor
        if not (0 <= event.x < width and 0 <= event.y < height):
            raise DataError(
                f"an event at x = {event.x}, y = {event.y} lies beside the sensor of {height} x {width} pixels"
            )
        place = event.y // self.settings.downsample, event.x // self.settings.downsample
        if self.settings.mode in SIGNED_MODES:
            self.sums[(slice(None), *place)] += 1 if event.on else -1
        else:
            self.sums[(int(self.settings.mode == 0 and not event.on), *place)] = 1

    def finished(self) -> Whole:
        """(1, C, H, W), and begin anew."""
        found = np.sign(self.sums)[None]
        self.sums = np.zeros_like(self.sums)
        return found


def steps_of(events: Iterable[Event], settings: Input, steps: int | None = None) -> Iterator[Whole]:
    """Inputs (1, C, H, W) of each step as soon as an event of a later one has come. ``steps``: how many, None: the net's test
    window or, where it has none, until the events end. Raises DataError for events that go backward, or beside the sensor."""
    if not settings.sensor:
        raise DataError("the net takes rasters, no events")
    wanted = steps or settings.steps or None
    current, number, last = _Bin(settings), 0, 0
    for event in events:
        if event.t < last:
            raise DataError(f"an event at {event.t} us follows one at {last} us: time goes backward")
        last = event.t
        while number < last // settings.step_us and number != wanted:
            yield current.finished()
            number += 1
        if number == wanted:
            return
        current.take(event)
    while number != wanted:
        yield current.finished()
        number += 1
        if wanted is None:
            return


def listen(engine: IntegerEngine, events: Iterable[Event], steps: int | None = None) -> Iterator[EngineState]:
    """The state after each step of a recording that is read event by event: its ``votes`` are the prediction so far."""
    for state, _ in engine.steps(steps_of(events, engine.model.input, steps)):
        yield state
