"""What the losses of classes share: labels and counts or membranes to logits, and gradients that stay integers.

T time, B batch, K classes. ``output`` (T, B, K) is of the net's last layer: spikes, or the membranes of a readout. Where
errors are quantized, factors that are the same for the whole tensor, 1/B and 1/T, stay in the loss and out of its gradient:
the error format divides by the power of two near the maximum, and a factor that is none would change codes. In full
precision the gradient is that of the loss as it is.
"""

import torch
from torch import Tensor
from torch.nn import functional

from qsnn.losses.prescribed import prescribed


class ClassLoss:
    """Base of the losses of classes. ``quantized``: whether errors are."""

    filter = None

    def __init__(self, quantized: bool) -> None:
        self.quantized = quantized

    def logits(self, output: Tensor) -> Tensor:
        """(T, B, K) to (B, K); the prediction is the largest, of equals the first."""
        raise NotImplementedError

    def value(self, logits: Tensor, labels: Tensor, num_steps: int) -> Tensor:
        """The loss, a mean over the batch."""
        raise NotImplementedError

    def gradient(self, output: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Its gradient at ``output`` (T, B, K) times B, and without any factor that is the same everywhere."""
        raise NotImplementedError

    def factor(self, output: Tensor) -> float:
        """The factors that ``gradient`` leaves out."""
        return 1 / output.shape[1]

    def __call__(self, output: Tensor, labels: Tensor) -> Tensor:
        """A scalar, whose backward pass gives `gradient`."""
        with torch.no_grad():
            logits = self.logits(output)
            value, gradient = self.value(logits, labels, len(output)), self.gradient(output, logits, labels)
            if not self.quantized:
                gradient = gradient * self.factor(output)
        return prescribed(output, value, gradient)


def counts(output: Tensor) -> Tensor:
    """``c[b, k] = sum_t s[t, b, k]``."""
    return output.sum(0)


def one_hot(labels: Tensor, like: Tensor) -> Tensor:
    """Labels (B,) as (B, K)."""
    return functional.one_hot(labels, like.shape[-1]).to(like)
