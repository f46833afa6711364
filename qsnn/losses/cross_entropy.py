"""Cross-entropy of classes, of spike counts or of membranes that integrate. T time, B batch, K classes.

``logits=count``: ``z = temperature * sum_t s[t]``, ``g_s[t] = temperature * (softmax(z) - onehot)`` in every step.
``logits=membrane``: z is temperature times the maximum over time of the readout's membranes, of equal steps the first, or
their mean; the gradient is at the step of the maximum, or in every step.

In integers the softmax of counts is p of `qsnn.losses.integer_softmax`, of f fraction bits, and ``g_s[t] = p - 2^f onehot``:
the temperature as a factor of the whole tensor is left out, as the error format divides by a power of two anyway.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from qsnn.data.words import CLASSES
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.dynamics.time_constants import DECAY_RULES, decay_of, decay_problems
from qsnn.kernels.backend import Backend
from qsnn.losses.base import OutputLoss
from qsnn.losses.classes import ClassLoss, counts, one_hot
from qsnn.losses.integer_softmax import integer_softmax, softmax_table
from qsnn.options import MAX_FACTOR, key, option

COUNT, MEMBRANE, MAX, MEAN = "count", "membrane", "max", "mean"


class CrossEntropyLoss(ClassLoss):
    """See above. ``over_time``: None for counts, else max or mean."""

    def __init__(self, temperature: float, over_time: str | None, quantized: bool) -> None:
        super().__init__(quantized)
        self.temperature, self.over_time = temperature, over_time

    def logits(self, output: Tensor) -> Tensor:
        """z (B, K)."""
        if self.over_time is None:
            return self.temperature * counts(output)
        return self.temperature * (output.max(0).values if self.over_time == MAX else output.mean(0))

    def value(self, logits: Tensor, labels: Tensor, num_steps: int) -> Tensor:
        """``-log softmax(z)[label]``, a mean over the batch."""
        return functional.cross_entropy(logits, labels)

    def gradient(self, output: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """``temperature * (softmax(z) - onehot)`` where the logits come from."""
        error = self.temperature * (logits.softmax(1) - one_hot(labels, logits))
        if self.over_time == MAX:
            return torch.zeros_like(output).scatter_(0, output.argmax(0)[None], error[None])
        return error.expand_as(output).contiguous()

    def factor(self, output: Tensor) -> float:
        """1/B, and 1/T of the mean over time."""
        return super().factor(output) / (len(output) if self.over_time == MEAN else 1)


class IntegerCrossEntropyLoss(CrossEntropyLoss):
    """Of counts, with a gradient of integers; logits and value, which are only reported, stay floats."""

    def __init__(self, temperature: float, softmax_bits: int) -> None:
        super().__init__(temperature, None, quantized=True)
        self.softmax_bits = softmax_bits

    def gradient(self, output: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """``p - 2^f onehot`` in every step."""
        share = integer_softmax(counts(output).long(), softmax_table(self.temperature, len(output), self.softmax_bits))
        error = share - 2**self.softmax_bits * one_hot(labels, share)
        return error.to(output.dtype).expand_as(output).contiguous()

    def largest_error(self, num_steps: int) -> int:
        """Largest integer of the gradient."""
        return int(2**self.softmax_bits)


@option("loss", "cross_entropy")
@dataclass
class CrossEntropy(OutputLoss):
    """Cross-entropy of classes, from spike counts or from integrating membranes."""

    needs: ClassVar[frozenset[str]] = frozenset({CLASSES})

    logits: str = key(COUNT, "what speaks for a class: count (output spikes) or membrane", choices=(COUNT, MEMBRANE))
    temperature: float = key(0.5, "factor on counts or membranes", "", "none", above=0, at_most=MAX_FACTOR)
    over_time: str = key(
        MAX, "of membranes the max over time (of equal steps the first), or the mean", choices=(MAX, MEAN)
    )
    tau_readout: float = key(0.2, "membrane time constant of a membrane readout", "s", "none", above=0)
    tau_readout_syn: float = key(0.01, "synapse time constant of a membrane readout", "s", "none", above=0)
    decay: str = key(
        "dyadic", "rule from these to a factor per step: exponential, euler or dyadic", choices=tuple(DECAY_RULES)
    )

    softmax_bits: int = key(
        10, "fraction bits of the softmax of counts, which integer arithmetic takes from a table", "bits", "none",
        at_least=1, at_most=16,
    )  # fmt: skip

    def lacking(self) -> tuple[str, ...]:
        """A membrane readout has the integrator's widths."""
        return () if self.logits == MEMBRANE else self.lacks

    def problems_at(self, dt: float) -> Iterator[str]:
        """Decays of the readout outside [0, 1)."""
        if self.logits == MEMBRANE:
            for name in ("tau_readout", "tau_readout_syn"):
                yield from decay_problems("loss", name, getattr(self, name), dt, self.decay, "decay", None)

    def integrator(self, dt: float, integrator_bits: int | None, error_bits: int | None) -> IntegratorParameters | None:
        """The neurons of the output layer; None: they spike."""
        if self.logits == COUNT:
            return None
        synapse_decay = decay_of(self.tau_readout_syn, dt, self.decay, None)
        membrane_decay = decay_of(self.tau_readout, dt, self.decay, None)
        return IntegratorParameters(synapse_decay, membrane_decay, integrator_bits, error_bits)

    def float_quantities(self, config: Any) -> Iterator[str]:
        """A gradient of membranes; that of counts is one of integers."""
        if self.logits != COUNT:
            yield from super().float_quantities(config)

    def build_integer(self, dt: float, backend: Backend) -> IntegerCrossEntropyLoss:
        """The loss of counts with a gradient of integers."""
        return IntegerCrossEntropyLoss(self.temperature, self.softmax_bits)

    def build(self, dt: float, backend: Backend, quantized: bool) -> CrossEntropyLoss:
        """The loss; ``quantized``: whether errors are."""
        return CrossEntropyLoss(self.temperature, None if self.logits == COUNT else self.over_time, quantized)
