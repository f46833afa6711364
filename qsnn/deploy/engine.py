"""The integer engine: runs an artefact one time step at a time, with integers alone and no more memory than the state takes.

B samples side by side. No array of floats is ever made, and one that comes in is refused.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.deploy import local, spiking
from qsnn.deploy.accumulate import OVERFLOWS, SATURATE, Accumulators, Overflows
from qsnn.deploy.arithmetic import WORD_BITS, Whole, whole
from qsnn.deploy.artefact import checked_widths, read_artefact
from qsnn.deploy.decision import no_votes, prediction, votes_after
from qsnn.deploy.fields import shown
from qsnn.deploy.local import LocalState
from qsnn.deploy.model import Layer, LocalLayer, Model, size
from qsnn.deploy.spiking import SpikingState
from qsnn.errors import ConfigError, DataError

MOST_SAMPLES = 2**31 - 1
LayerState = SpikingState | LocalState


class EngineState(NamedTuple):
    """What goes from one step to the next: ``layers`` by name, ``votes`` (B, K) so far, ``steps`` done, ``overflows``: by
    layer and sum, how many did not fit their accumulator."""

    layers: dict[str, LayerState]
    votes: Whole
    steps: int
    overflows: dict[str, Overflows]


class Answer(NamedTuple):
    """``classes`` (B): the number of the predicted class, (0,) of a raster; ``votes`` (B, K); ``state`` after the last step."""

    classes: Whole
    votes: Whole
    state: EngineState


class IntegerEngine:
    """Computes a `Model`. ``accumulator_bits``: signed bits of every accumulator, None: as many as the artefact states, with
    which nothing overflows; ``overflow``: saturate or wrap. Raises ConfigError for widths that there are not."""

    def __init__(self, model: Model, accumulator_bits: int | None = None, overflow: str = SATURATE) -> None:
        if overflow not in OVERFLOWS:
            raise ConfigError(f"overflow={overflow} is not possible: allowed are {', '.join(OVERFLOWS)}")
        if accumulator_bits is not None and not _whole(accumulator_bits, 2, WORD_BITS):
            raise ConfigError(
                f"accumulator_bits={shown(accumulator_bits)} is not possible: allowed are 2..{WORD_BITS}, a whole number "
                "for all sums alike"
            )
        self.model = model
        self._sums = {
            name: Accumulators({part: width.bits for part, width in found.items()}, accumulator_bits, overflow)
            for name, found in checked_widths(model).items()
        }

    @classmethod
    def from_artefact(
        cls, folder: str | Path, accumulator_bits: int | None = None, overflow: str = SATURATE
    ) -> "IntegerEngine":
        """Of the artefact in ``folder``. Raises DataError."""
        return cls(read_artefact(Path(folder)), accumulator_bits, overflow)

    def initial_state(self, samples: int = 1) -> EngineState:
        """At rest. Raises ConfigError unless there is a sample."""
        if not _whole(samples, 1, MOST_SAMPLES):
            raise ConfigError(f"samples={shown(samples)} is not possible: it is a whole number from 1 on")
        layers = {layer.name: _rest(layer, samples) for layer in self.model.layers}
        return EngineState(layers, no_votes(self.model, samples), 0, {name: {} for name in layers})

    def step(self, state: EngineState, inputs: NDArray[Any]) -> tuple[EngineState, Whole]:
        """A time step: inputs (B, ...) of whole numbers to the next state, and what the last layer hands on (B, outputs):
        spikes, or of a membrane readout its codes. Raises DataError for inputs that are none."""
        x, layers, overflows = self._checked(state, inputs), {}, {}
        for layer in self.model.layers:
            counted, before = dict(state.overflows[layer.name]), state.layers[layer.name]
            layers[layer.name], x = _step(layer, before, x, self._sums[layer.name], counted)
            overflows[layer.name] = counted
        assert x.dtype == np.int64
        votes = votes_after(self.model, state.votes, state.steps, x, layers[self.model.layers[-1].name])
        return EngineState(layers, votes, state.steps + 1, overflows), x

    def _checked(self, state: EngineState, inputs: NDArray[Any]) -> Whole:
        given, shape = np.asarray(inputs), self.model.input.shape
        if given.dtype.kind not in "iub":
            raise DataError(f"inputs are {given.dtype}, the engine takes whole numbers")
        if given.shape[0:1] != state.votes.shape[0:1] or size(given.shape[1:]) != size(shape):
            raise DataError(
                f"inputs of a step are {list(given.shape)}, the net takes [{len(state.votes)}, {size(shape)}]"
            )
        x = whole(given.reshape(len(given), -1))
        low = -1 if self.model.input.signed else 0
        if x.size and (x.min() < low or x.max() > 1):
            raise DataError(f"inputs reach from {x.min()} to {x.max()}, the net takes {low} to 1")
        return x

    def steps(self, inputs: Iterable[NDArray[Any]], samples: int = 1) -> Iterator[tuple[EngineState, Whole]]:
        """From rest, state and output after each of the ``inputs`` (B, ...), as they come."""
        state = self.initial_state(samples)
        for x in inputs:
            state, output = self.step(state, x)
            yield state, output

    def run(self, inputs: NDArray[Any]) -> Answer:
        """Inputs (T, B, ...), from rest, to the answer."""
        state = self.initial_state(inputs.shape[1])
        for x in inputs:
            state, _ = self.step(state, x)
        return self.answer(state)

    def answer(self, state: EngineState) -> Answer:
        """What the net says after the steps so far."""
        classes = prediction(state.votes) if state.votes.shape[1] else np.zeros(0, np.int64)
        return Answer(classes, state.votes, state)


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and low <= int(value) <= high


def _rest(layer: Layer, samples: int) -> LayerState:
    return local.rest(layer, samples) if isinstance(layer, LocalLayer) else spiking.rest(layer, samples)


def _step(
    layer: Layer, state: LayerState, x: Whole, sums: Accumulators, counted: Overflows
) -> tuple[LayerState, Whole]:
    if isinstance(layer, LocalLayer):
        assert isinstance(state, LocalState)
        return local.step(layer, state, x, sums, counted)
    assert isinstance(state, SpikingState)
    return spiking.step(layer, state, x, sums, counted)
