"""The integer trainer: repeats a run's updates with integers alone, from codes of inputs and labels to codes of weights.

A batch goes through the layers as training had it, by backpropagation or by local learning, and moves the stored codes. No
array of floats is ever made; every sum is checked against the width that was proved for it.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.deploy import local as engine_step
from qsnn.deploy.accumulate import Accumulators
from qsnn.deploy.arithmetic import WORD_BITS, Codes, Whole, whole
from qsnn.deploy.model import Layer, LocalLayer, Model, SpikingLayer, answers, size
from qsnn.deploy.training.backward import backward
from qsnn.deploy.training.codes import significant
from qsnn.deploy.training.forward import Pass, forward
from qsnn.deploy.training.held import Held
from qsnn.deploy.training.local import gradients, kept_readouts
from qsnn.deploy.training.losses import output_gradient
from qsnn.deploy.training.recipe import LocalRule, Recipe, SpikingRule, VanRossum
from qsnn.deploy.training.update import Moving, at_start, computing, moved
from qsnn.deploy.training.widths import Widths, learning_widths
from qsnn.errors import ConfigError, DataError


class TrainerState(NamedTuple):
    """``tensors`` by name; ``dropped``: numbers that are gone from the streams of dropout, by layer; ``batch``: how many are
    done."""

    tensors: dict[str, Moving]
    dropped: dict[str, int]
    batch: int = 0


class IntegerTrainer:
    """Learns as ``recipe`` says. Raises ConfigError if a sum takes more bits than numpy has."""

    def __init__(self, model: Model, recipe: Recipe) -> None:
        self.model, self.recipe = model, recipe
        self.widths: Widths = checked_learning_widths(model, recipe)
        self._held = {name: Held(name, found) for name, found in self.widths.items()}

    def initial_state(self) -> TrainerState:
        """Before the first batch."""
        tensors = {name: at_start(stored, self.recipe.update) for name, stored in self.recipe.stored.items()}
        return TrainerState(tensors, {layer.name: 0 for layer in self.model.layers if isinstance(layer, LocalLayer)})

    def layers(self, state: TrainerState) -> list[Layer]:
        """With the weights as they are."""
        return [self._layer(layer, state.tensors) for layer in self.model.layers]

    def model_of(self, state: TrainerState) -> Model:
        """The net as it is, for `qsnn.deploy.IntegerEngine`."""
        return self.model._replace(layers=tuple(self.layers(state)))

    def _layer(self, layer: Layer, tensors: dict[str, Moving]) -> Layer:
        codes = {
            name.partition(".")[2]: computing(stored, tensors[name].codes)
            for name, stored in self.recipe.stored.items()
            if name.partition(".")[0] == layer.name
        }
        weight = layer.weight._replace(codes=codes["weight"])
        if isinstance(layer, LocalLayer):
            return layer._replace(weight=weight, bias=codes["bias"])
        recurrent = layer.recurrent
        if recurrent is not None:
            recurrent = recurrent._replace(codes=codes["recurrent_weight"])
        return layer._replace(weight=weight, recurrent=recurrent)

    def learn(self, state: TrainerState, inputs: NDArray[Any], target: NDArray[Any]) -> tuple[TrainerState, Whole]:
        """A batch: inputs (T, B, ...) and labels (B), or a raster (T, B, N), all of whole numbers, to the next state and to
        what the net answered meanwhile: output spikes (T, B, N) or, of local learning, votes (B, K) of the last layer. Raises
        DataError."""
        x = self._checked(inputs)
        wanted = self._checked_target(target, x)
        local = isinstance(self.model.layers[0], LocalLayer)
        tensors, dropped, answer = (self._local if local else self._backpropagated)(state, x, wanted)
        assert all(part.dtype.kind == "i" for tensor in tensors.values() for part in tensor[:2])
        return TrainerState(tensors, dropped, state.batch + 1), answer

    def _checked(self, inputs: NDArray[Any]) -> Codes:
        x, shape = _whole_numbers(inputs, "inputs"), self.model.input.shape
        if x.ndim < 3 or size(x.shape[2:]) != size(shape) or x.shape[1] > self.recipe.extent.samples or not x.size:
            most = self.recipe.extent.samples
            raise DataError(f"inputs are {list(x.shape)}, the net learns from [steps, 1..{most}, {size(shape)}]")
        if len(x) != self.recipe.extent.steps:
            raise DataError(f"a batch of {len(x)} steps, the run has {self.recipe.extent.steps}")
        low = -1 if self.model.input.signed else 0
        if x.min() < low or x.max() > 1:
            raise DataError(f"inputs reach from {x.min()} to {x.max()}, the net takes {low} to 1")
        return x.reshape(*x.shape[:2], -1).astype(np.int8)

    def _checked_target(self, target: NDArray[Any], x: Codes) -> Whole:
        """Labels, or a raster."""
        found, outputs = _whole_numbers(target, "targets"), answers(self.model.layers[-1])
        raster = isinstance(self.recipe.loss, VanRossum)
        shape, high = ((*x.shape[:2], outputs), 1) if raster else ((x.shape[1],), outputs - 1)
        if found.shape != shape:
            raise DataError(f"targets are {list(found.shape)}, the loss takes {list(shape)}")
        if found.min() < 0 or found.max() > high:
            raise DataError(f"targets reach from {found.min()} to {found.max()}, the loss takes 0 to {high}")
        return found

    def _log_eta(self, state: TrainerState) -> int:
        return self.recipe.update.log_eta_at(state.batch)

    def _backpropagated(
        self, state: TrainerState, x: Codes, target: Whole
    ) -> tuple[dict[str, Moving], dict[str, int], Whole]:
        layers, passes, tensors = self.layers(state), list[Pass](), dict(state.tensors)
        for layer in layers:
            assert isinstance(layer, SpikingLayer)
            passes.append(forward(layer, passes[-1].output if passes else x, self._held[layer.name]))
        answer = whole(passes[-1].output)
        grad = output_gradient(self.recipe.loss, answer, target, self._held[layers[-1].name]), 0
        for number in reversed(range(len(layers))):
            layer, rule = layers[number], self.recipe.rules[number]
            assert isinstance(layer, SpikingLayer)
            assert isinstance(rule, SpikingRule)
            found = backward(layer, rule, passes[number], grad, self._held[layer.name], number > 0)
            for part, gradient in found.gradients.items():
                self._move(tensors, f"{layer.name}.{part}", significant(gradient), self._log_eta(state))
            if found.below is not None:
                grad = found.below
        return tensors, state.dropped, answer

    def _move(self, tensors: dict[str, Moving], name: str, gradient: Whole, log_eta: int) -> None:
        """Change a tensor in the dictionary."""
        stored, held = self.recipe.stored[name], self._held[name.partition(".")[0]]
        tensors[name] = moved(stored, tensors[name], gradient, log_eta, self.recipe.update, held)

    def _local(self, state: TrainerState, x: Codes, labels: Whole) -> tuple[dict[str, Moving], dict[str, int], Whole]:
        tensors, dropped, burn_in = dict(state.tensors), dict(state.dropped), self.model.decision.burn_in
        samples, rules, kept = x.shape[1], dict[str, LocalRule](), dict[str, Whole]()
        states, layers = {}, dict[str, LocalLayer]()
        for layer, rule in zip(self.layers(state), self.recipe.rules, strict=True):
            assert isinstance(layer, LocalLayer)
            assert isinstance(rule, LocalRule)
            layers[layer.name], rules[layer.name] = layer, rule
            kept[layer.name] = kept_readouts(rule, dropped[layer.name], len(x) - burn_in, samples)
            dropped[layer.name] += kept[layer.name].size
            states[layer.name] = engine_step.rest(layer, samples)
        classes = len(kept[next(iter(kept))][0, 0])
        target = (np.arange(classes) == labels[:, None]).astype(np.int64)
        votes = np.zeros((samples, classes), np.int64)
        for t, events in enumerate(x):
            spikes = whole(events)
            for name, layer in layers.items():
                sums = Accumulators(self.widths[name])
                states[name], spikes = engine_step.step(layer, states[name], spikes, sums, {})
                if t < burn_in:
                    continue
                found = gradients(layer, rules[name], states[name], target, kept[name][t - burn_in], self._held[name])
                for part, gradient in found.items():
                    self._move(tensors, f"{name}.{part}", gradient, self._log_eta(state))
                layers[name] = self._layer(layer, tensors)  # type: ignore[assignment]
            if t >= burn_in:
                votes[np.arange(samples), states[name].readout.argmax(1)] += 1
        return tensors, dropped, votes


def _whole_numbers(given: NDArray[Any], what: str) -> Whole:
    found = np.asarray(given)
    if found.dtype.kind not in "iub":
        raise DataError(f"{what} are {found.dtype}, the trainer takes whole numbers")
    return whole(found)


def checked_learning_widths(model: Model, recipe: Recipe) -> Widths:
    """`learning_widths`. Raises ConfigError, naming layer and sum, if one takes more bits than there are."""
    found = learning_widths(model, recipe)
    for layer, widths in found.items():
        for name, bits in widths.items():
            if bits > WORD_BITS:
                raise ConfigError(
                    f"{name} of layer {layer} takes {bits} signed bits, the trainer has {WORD_BITS}: choose fewer bits"
                )
    return found
