"""A backend of a process that has a part of every batch: the operations of another, with maxima and sums over all parts.

What of a training step depends on the whole batch is a maximum or a sum (`qsnn.quantization.reductions`): the maxima of errors
in every time step of every layer, that of the errors at a layer's current, and the sums that are weight gradients. All
else is done sample by sample, or with weights that every process has, and stays what it is. Where the maxima of a time step
are wanted the recurrence runs on its definition, step by step: a kernel of the whole sequence has no place to ask for them.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from qsnn.kernels.backend import Backend, LayerSettings, NetPass, OutputLoss
from qsnn.kernels.dense_layers import compose_loss_gradients
from qsnn.quantization.reductions import ALONE, Reductions

REDUCED = (
    "quantize_error", "weight_gradient", "recurrent_gradient", "lif_sequence_backward", "recurrent_sequence_backward",
    "integrator_sequence_backward", "all_finite", "convolution_errors", "convolution_sequence_backward",
)  # fmt: skip
"""The operations that take ``over``."""


def over_parts(backend: Backend, over: Reductions) -> Backend:
    """``backend`` for a part of each batch; itself where a process has all of it."""
    if over is ALONE:
        return backend
    operations: dict[str, Any] = {name: partial(getattr(backend, name), over=over) for name in REDUCED}
    shared = backend._replace(**operations)

    def loss_gradients(x: Tensor, layers: Sequence[LayerSettings], loss: OutputLoss) -> NetPass:
        return compose_loss_gradients(shared, x, layers, loss)

    return shared._replace(loss_gradients=loss_gradients)
