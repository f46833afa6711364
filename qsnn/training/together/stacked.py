"""Nets that learn a raster each, a batch of all of them at a time: `qsnn.training.bptt.train_step` of each, by definition."""

from collections.abc import Mapping, Sequence

import torch

from qsnn.errors import NonFiniteError
from qsnn.kernels.backend import NetPass, NetStack, StackedNet, StackStep, WeightUpdate
from qsnn.layers import SpikingLinear
from qsnn.models.spiking_net import NetGradients, gradients_of
from qsnn.training.bptt import BPTTLearner, StepResult, rule_at, take_updates
from qsnn.training.pattern_task import PatternTask
from qsnn.training.run import Order, Run


class StackedRuns:
    """Runs whose nets a backend keeps side by side. What each has learned is valid until it learns again."""

    def __init__(self, runs: Sequence[Run], stack: NetStack) -> None:
        self._runs, self._stack = list(runs), stack
        self._weights = [run.state.model.weights() for run in runs]
        self._layers = [list(run.state.model.layers) for run in runs]
        self._known: list[NetGradients | None] = [None] * len(self._runs)

    @torch.no_grad()
    def learn(self, orders: Mapping[int, Order]) -> dict[int, StepResult | NonFiniteError]:
        """`Learner.learn` of each of these runs, or why it cannot go on."""
        lessons: dict[int, StepResult | NonFiniteError] = {}
        found: dict[int, NetGradients] = {}
        for number, done in zip(orders, self._stack.gradients(list(orders)), strict=True):
            if done is None:
                lessons[number] = learn_alone(self._runs[number], orders[number])
            else:
                found[number] = self._gradients(number, done, orders[number].keep)
                orders[number].before_update(found[number].loss)
        updates = self._stack.train_weights([self._step(number, orders[number]) for number in found])
        for number, update in zip(found, updates, strict=True):
            lessons[number] = self._lesson(number, orders[number], found[number], update)
        return lessons

    def _gradients(self, number: int, done: NetPass, keep: bool) -> NetGradients:
        """The pass by names of layers; a copy, if it is to be kept."""
        known = self._known[number]
        if known is None or known.activity[self._layers[number][0]].current is not done.layers[0].current:
            known = self._known[number] = gradients_of(self._layers[number], done)
        return _copied(known._replace(loss=done.distance)) if keep else known._replace(loss=done.distance)

    def _step(self, number: int, order: Order) -> StackStep:
        state, names = self._runs[number].state, list(self._weights[number])
        roundings = tuple(order.rates.rounding[layer] for layer in self._layers[number])
        streams = tuple(state.streams[name] for name in names)
        return StackStep(number, rule_at(state, order.rates), state.step + 1, order.keep, streams, roundings)

    def _lesson(
        self, number: int, order: Order, found: NetGradients, updates: list[WeightUpdate]
    ) -> StepResult | NonFiniteError:
        state = self._runs[number].state
        try:
            rounded = take_updates(state, self._weights[number], updates)
        except NonFiniteError as error:
            return error
        state.step += 1
        return StepResult(found.loss, found.activity, found.weights, rounded, order.rates.rounding)


def _copied(found: NetGradients) -> NetGradients:
    """The same in memory of its own, as `train_step` leaves it with ``keep``."""
    activity = {name: type(layer)(*(part.clone() for part in layer)) for name, layer in found.activity.items()}
    currents = {name: gradient.clone() for name, gradient in found.currents.items()}
    for name, layer in activity.items():
        layer.current.grad = currents[name]
    weights = {name: gradient.clone() for name, gradient in found.weights.items()}
    return NetGradients(found.loss, activity, currents, weights)


def learn_alone(run: Run, order: Order) -> StepResult | NonFiniteError:
    """`Learner.learn` of a single run, or why it cannot go on."""
    try:
        lesson: StepResult = run.learner.learn(run.state, *order)
    except NonFiniteError as error:
        return error
    return lesson


def _net_of(run: Run) -> StackedNet | None:
    """What a backend is told of a run's net; None if it is none of dense spiking layers that learns a raster."""
    state, task, learner = run.state, run.task, run.learner
    if not isinstance(task, PatternTask) or not isinstance(learner, BPTTLearner) or learner.loss.filter is None:
        return None
    layers = state.model.layers.values()
    if not all(type(layer) is SpikingLinear for layer in layers):
        return None
    x, settings = task.pattern.input.flatten(2), tuple(layer.settings() for layer in layers)
    slots = tuple(state.slots[name] for name in state.model.weights())
    return StackedNet(x, task.pattern.target, settings, slots, state.rule, learner.loss.filter)


@torch.no_grad()
def stack_runs(runs: Sequence[Run]) -> StackedRuns | None:
    """The runs side by side; None where their backend has nothing over one after the other."""
    nets = [net for net in map(_net_of, runs) if net is not None]
    if len(nets) < len(runs):
        return None
    backend = next(iter(runs[0].state.model.layers.values())).linear.backend
    stack = backend.stack_nets(nets)
    return None if stack is None else StackedRuns(runs, stack)
