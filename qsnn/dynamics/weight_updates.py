"""How a gradient changes the stored weights: SGD, Adam and Adamax, one line an equation.

torch's optimizers compute the same to rounding; these are written out so that every backend can repeat them bit for
bit, in one pass over the weights, and so that ``sgd`` with lr 1 provably adds integer multiples of the gradient step.
``step`` counts updates from 1. Slots are the tensors that a rule remembers between updates, of the weights' shape.

Most quantized gradients are 0, and a mean of zeros decays for ever. Below `SMALLEST` it is set to 0: far too small to
move a weight, but soon a denormal number, which a CPU computes with many times more slowly.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

Slots = tuple[Tensor, ...]
SMALLEST = 2.0**-80


class UpdateRule(Protocol):
    """What any rule is, such as a NamedTuple with a field ``lr``: training multiplies that by its schedule."""

    @property
    def lr(self) -> float: ...  # noqa: D102
    @property
    def num_slots(self) -> int: ...  # noqa: D102

    def update(self, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
        """The next weights and slots; ``step`` counts from 1."""
        ...

    def _replace(self, *, lr: float = ...) -> "UpdateRule":
        """The rule at another learning rate."""
        ...


def _without_dust(mean: Tensor) -> Tensor:
    """``mean``, with 0 where its size is below `SMALLEST`."""
    return torch.where(mean.abs() < SMALLEST, 0.0, mean)


class SGD(NamedTuple):
    """``b = momentum * b + G``, ``w = w - lr * b``; without momentum no slot and ``b = G``.

    With a ``step`` other than 0 what is left of b is cut off to a multiple, ``b = trunc(momentum * b / step) * step + G``: with
    gradients on that grid b stays there, and comes to rest at 0, where rounding to the nearest would hold some codes for ever.
    """

    lr: float
    momentum: float = 0.0
    step: float = 0.0

    @property
    def num_slots(self) -> int:
        """How many slots the rule keeps."""
        return 1 if self.momentum else 0

    def update(self, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
        """The next weights and slots."""
        if not slots:
            return weight - self.lr * gradient, ()
        kept = self.momentum * slots[0]
        if self.step:
            kept = (kept / self.step).trunc() * self.step
        moving = _without_dust(kept + gradient)
        return weight - self.lr * moving, (moving,)


class Adam(NamedTuple):
    """Kingma & Ba 2015, algorithm 1: mean m and mean square v of the gradient, both corrected for their start at 0."""

    lr: float
    beta1: float
    beta2: float
    eps: float

    @property
    def num_slots(self) -> int:
        """How many slots the rule keeps."""
        return 2

    def update(self, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
        """``w = w - lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)``."""
        mean = _without_dust(self.beta1 * slots[0] + (1 - self.beta1) * gradient)
        square = _without_dust(self.beta2 * slots[1] + (1 - self.beta2) * (gradient * gradient))
        # The root in double: torch's float root can be off by one in the last place, which no other backend repeats.
        root = (square * (1 / (1 - self.beta2**step))).to(torch.float64).sqrt().to(square.dtype)
        size = root + self.eps
        return weight - self.lr / (1 - self.beta1**step) * (mean / size), (mean, square)


class Adamax(NamedTuple):
    """Kingma & Ba 2015, algorithm 2: mean m and decaying largest size u of the gradient."""

    lr: float
    beta1: float
    beta2: float
    eps: float

    @property
    def num_slots(self) -> int:
        """How many slots the rule keeps."""
        return 2

    def update(self, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
        """``u = max(beta2 * u, |G| + eps)``, ``w = w - lr / (1 - beta1^t) * m / u``."""
        mean = _without_dust(self.beta1 * slots[0] + (1 - self.beta1) * gradient)
        largest = (self.beta2 * slots[1]).maximum(gradient.abs() + self.eps)
        return weight - self.lr / (1 - self.beta1**step) * (mean / largest), (mean, largest)
