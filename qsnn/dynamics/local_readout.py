"""The local readout of a layer, its loss, and the error that it sends back, all inside one time step.

Source: [DECOLLE] equations 5 to 9 with the number formats of [ICONS]; NUMERICS section 4. Features are the pooled maps,
F = C * H' * W' of them; K classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from qsnn.dynamics.refractory_lif import MembraneStep
from qsnn.quantization import quantize, quantize_error, symmetric, unsigned

ACTIVITY_MARGIN, POTENTIAL_TARGET = 0.01, 0.1
L1_FACTOR, L2_FACTOR = 20.0, 0.1


class ReadoutParameters(NamedTuple):
    """``weight`` G and ``feedback``, both fixed, (K, F); ``scale``: readout_scale; ``l1``, ``l2``: activity regularisers."""

    weight: Tensor
    feedback: Tensor
    scale: float
    sigmoid_bits: int | None
    readout_bits: int | None
    error_bits: int | None
    l1: float
    l2: float


def local_readout(activation: Tensor, parameters: ReadoutParameters) -> Tensor:
    """``r = (quantize_symmetric(z G^T / readout_scale) + 1) / 2`` (B, K) of z' = maxpool(sigmoid(U)), (B, F).

    z = quantize_unsigned(z'). In [0, 1] unless in full precision, before dropout.
    """
    p = parameters
    feature = quantize(activation, unsigned(p.sigmoid_bits))
    return (quantize(feature @ p.weight.T / p.scale, symmetric(p.readout_bits)) + 1) / 2


def local_loss(
    readout: Tensor, target: Tensor, activation: Tensor, mean: Tensor, parameters: ReadoutParameters
) -> Tensor:
    """The loss that the local error descends, of the readout after dropout; a scalar.

        0.5 sum((r - y)^2) + 20 l1 mean(relu(z' + 0.01)) + 0.1 l2 relu(0.1 - mean(U))

    ``target`` y (B, K) one-hot. The first term is ``mean((r - y)^2)`` where error_bits is None.
    """
    p = parameters
    square = (readout - target) ** 2
    fit = square.mean() if p.error_bits is None else 0.5 * square.sum()
    activity = L1_FACTOR * p.l1 * (activation + ACTIVITY_MARGIN).relu().mean()
    return fit + activity + L2_FACTOR * p.l2 * (POTENTIAL_TARGET - mean).relu().to(fit.dtype)


def readout_error(readout: Tensor, target: Tensor, mask: Tensor, parameters: ReadoutParameters) -> Tensor:
    """dL/dr (B, K), masked by the dropout and quantized; ``readout`` after dropout."""
    error = readout - target
    if parameters.error_bits is None:
        error = 2 * error / error.numel()
    return quantize_error(error * mask, parameters.error_bits)


def activation_error(error: Tensor, parameters: ReadoutParameters) -> Tensor:
    """The error at z' (B, F): through the feedback matrix, quantized, and the l1 term's gradient (z' > 0 always)."""
    back = quantize_error(error @ parameters.feedback, parameters.error_bits)
    return back + L1_FACTOR * parameters.l1 / back.numel()


def potential_gradient(mean: Tensor, count: int, parameters: ReadoutParameters) -> Tensor:
    """The l2 term's gradient at each of ``count`` membranes, a float32 scalar: -0.1 l2 / count while mean(U) < 0.1, else 0."""
    return torch.where(mean < POTENTIAL_TARGET, -L2_FACTOR * parameters.l2 / count, 0.0).to(torch.float32)


def membrane_error(
    error: Tensor, activation: Tensor, step: MembraneStep, pooling: int, offset: Tensor, error_bits: int | None
) -> Tensor:
    """The error at U (B, C, H, W), straight through its quantizer, as the weights learn from it.

        g_U = (e (1 - z') z' at the winner of each pooling window, 0 elsewhere) + offset     e_U = quantize_error(g_U)

    ``error`` at z' and ``activation`` z' (B, C, H', W'); ``offset`` is `potential_gradient`.
    """
    through_sigmoid = error * (1 - activation) * activation
    shape = step.membrane.shape[2:]
    gradient = functional.max_unpool2d(through_sigmoid, step.winner, pooling, output_size=shape)
    return quantize_error(gradient + offset, error_bits)
