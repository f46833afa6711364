"""Squared distance of the output's spike counts to wanted ones: its gradient is an integer, with nothing to approximate.

``L = 1/2 sum_k (c_k - c*_k)^2``, mean over the batch; ``c* = rint(true_rate * T)`` for the label, ``rint(false_rate * T)`` for
others; ``g_s[t] = c - c*`` in every step. K classes, T time steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from qsnn.data.words import CLASSES
from qsnn.kernels.backend import Backend
from qsnn.losses.base import OutputLoss
from qsnn.losses.classes import ClassLoss, counts, one_hot
from qsnn.options import impossible, key, option


class SpikeCountLoss(ClassLoss):
    """See above."""

    def __init__(self, true_rate: float, false_rate: float, quantized: bool) -> None:
        super().__init__(quantized)
        self.true_rate, self.false_rate = true_rate, false_rate

    def wanted(self, labels: Tensor, like: Tensor, num_steps: int) -> Tensor:
        """``c*`` (B, K)."""
        true, false = round(self.true_rate * num_steps), round(self.false_rate * num_steps)
        return false + (true - false) * one_hot(labels, like)

    def logits(self, output: Tensor) -> Tensor:
        """The counts."""
        return counts(output)

    def value(self, logits: Tensor, labels: Tensor, num_steps: int) -> Tensor:
        """Half the squared distance, a mean over the batch."""
        return (logits - self.wanted(labels, logits, num_steps)).square().sum(1).mean() / 2

    def gradient(self, output: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """``c - c*`` in every step."""
        return (logits - self.wanted(labels, logits, len(output))).expand_as(output).contiguous()

    def largest_error(self, num_steps: int) -> int:
        """Largest integer of the gradient: no count, and no wanted one, is beyond the steps."""
        return num_steps


@option("loss", "spike_count")
@dataclass
class SpikeCount(OutputLoss):
    """Squared distance of spike counts to wanted ones; all of it in integers."""

    needs: ClassVar[frozenset[str]] = frozenset({CLASSES})

    true_rate: float = key(0.3, "wanted spikes of the label's neuron in a step", "", "none", at_least=0, at_most=1)
    false_rate: float = key(0.03, "wanted spikes of the other neurons in a step", "", "none", at_least=0, at_most=1)

    def problems(self) -> Iterator[str]:
        """Rates in the wrong order."""
        if not self.true_rate > self.false_rate:
            yield impossible("loss.true_rate", self.true_rate, f"it must be above loss.false_rate={self.false_rate:g}")

    def float_quantities(self, config: Any) -> Iterator[str]:
        """None: the gradient is a difference of counts."""
        yield from ()

    def build(self, dt: float, backend: Backend, quantized: bool) -> SpikeCountLoss:
        """The loss; ``quantized``: whether errors are."""
        return SpikeCountLoss(self.true_rate, self.false_rate, quantized)
