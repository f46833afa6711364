"""A loss of a batch of which this process has a part: computed of all outputs, in each process alike, down to the last bit.

Outputs are small beside what a net keeps of a sequence, so they are put together, and the loss is what it is in one process:
its mean, its softmax and its order of summation. Of its gradient a process takes what belongs to its own samples.
"""

from typing import Any

import torch
from torch import Tensor

from qsnn.kernels.workers import Workers
from qsnn.losses.prescribed import prescribed


class WholeBatchLoss:
    """``loss`` of an output (T, B, K) and labels (B,), of the samples of all ``workers``; the output is of this one's."""

    filter = None

    def __init__(self, loss: Any, workers: Workers) -> None:
        self.loss, self.workers = loss, workers

    def __call__(self, output: Tensor, labels: Tensor) -> Tensor:
        """The loss of the batch; its backward pass gives the gradient at this process' samples."""
        whole = self.workers.joined(output.detach(), len(labels), dim=1)
        with torch.enable_grad():
            leaf = whole.requires_grad_()
            value = self.loss(leaf, labels)
            value.backward()
        gradient = torch.zeros_like(whole) if leaf.grad is None else leaf.grad
        own = gradient[:, self.workers.own(len(labels))].contiguous()
        return prescribed(output, value.detach(), own)

    def logits(self, output: Tensor) -> Tensor:
        """Those of the loss."""
        found: Tensor = self.loss.logits(output)
        return found

    def largest_error(self, num_steps: int) -> int:
        """That of the loss."""
        return int(self.loss.largest_error(num_steps))
