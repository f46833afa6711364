"""The integer trainer beside the run that it repeats: both learn the same batches, and their stored codes are compared after
each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qsnn.deploy.arithmetic import Whole, whole
from qsnn.deploy.training.from_run import on_grid
from qsnn.deploy.training.recipe import Recipe, Stored
from qsnn.deploy.training.trainer import IntegerTrainer, TrainerState
from qsnn.training.run import Run


class Difference(NamedTuple):
    """The first code that differs: after ``update`` batches, of a tensor, at a place of its flat codes."""

    update: int
    tensor: str
    place: int
    trained: int
    machine: int

    def __str__(self) -> str:
        where = f"{self.tensor}[{self.place}] after update {self.update}"
        return f"{where}: training has {self.trained}, the integer trainer {self.machine}"


@dataclass
class Repetition:
    """``agreed`` of ``total`` codes by tensor, those of all ``updates`` together; ``first``: the earliest that differs;
    ``streams``: whether as many random numbers are gone."""

    agreed: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    first: Difference | None = None
    updates: int = 0
    streams: bool = True

    def exact(self) -> bool:
        """Whether there was something to compare, and all of it agrees."""
        return self.first is None and self.streams and self.updates > 0

    def add(self, name: str, trained: Whole, machine: Whole) -> None:
        """Compare a tensor after ``updates``."""
        same = trained == machine
        self.total[name] = self.total.get(name, 0) + same.size
        self.agreed[name] = self.agreed.get(name, 0) + int(np.count_nonzero(same))
        if self.first is None and not same.all():
            place = int(np.flatnonzero(~same)[0])
            self.first = Difference(self.updates, name, place, int(trained.flat[place]), int(machine.flat[place]))


def batch_of(batch: Any) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Inputs and target of a batch of the run's data as integers."""
    inputs, target = (part.cpu().numpy().astype(np.int64) for part in batch[:2])
    return inputs.astype(np.int8), target


@torch.no_grad()
def repeat(
    run: Run, trainer: IntegerTrainer, epochs: int, told: Callable[[int, Repetition], None] = lambda epoch, found: None
) -> tuple[Repetition, TrainerState]:
    """Learn ``epochs`` epochs in both, from their start. ``told``: is told after each epoch."""
    found, state = Repetition(), trainer.initial_state()
    while run.state.epoch < epochs:
        order = run.order(False)
        inputs, target = batch_of(order.batch)
        lesson = run.learner.learn(run.state, *order)
        run.count(order.batch, lesson)
        state, _ = trainer.learn(state, inputs, target)
        found.updates += 1
        for name, trained, machine in _tensors(run, trainer.recipe, state):
            found.add(name, trained, machine)
        found.streams = found.streams and _streams_agree(run, state)
        if not run.state.batch:
            run.state.sums = {}
            told(run.state.epoch, found)
    return found, state


def _tensors(run: Run, recipe: Recipe, state: TrainerState) -> Iterator[tuple[str, Whole, Whole]]:
    """Name, codes of the run and codes of the machine."""
    for name, tensor in run.state.model.trained_tensors().items():
        stored = recipe.stored[name]
        yield name, codes_of(stored, tensor), whole(state.tensors[name].codes)
        for slot in run.state.slots[name]:
            momentum = on_grid(slot, stored.gradient_bits).reshape(stored.start.shape)
            yield f"{name} momentum", momentum, whole(state.tensors[name].momentum)


def codes_of(stored: Stored, tensor: Tensor) -> Whole:
    """The codes of a run's tensor, clamped as the next pass finds them."""
    return np.clip(on_grid(tensor, stored.point + 1), -stored.limit, stored.limit)


def _streams_agree(run: Run, state: TrainerState) -> bool:
    drawn = {name: tensor.drawn for name, tensor in state.tensors.items()}
    drawn |= {f"{name}/dropout": count for name, count in state.dropped.items()}
    return all(run.state.streams[name].position == count for name, count in drawn.items())


def agreement_with(recipe: Recipe, state: TrainerState, weights: dict[str, Tensor]) -> tuple[int, int]:
    """How many codes are those of a checkpoint's ``weights``, of how many."""
    same = [codes_of(stored, weights[name]) == state.tensors[name].codes for name, stored in recipe.stored.items()]
    return sum(int(np.count_nonzero(part)) for part in same), sum(part.size for part in same)
