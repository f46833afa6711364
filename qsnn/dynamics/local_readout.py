"""The local readout of a layer, its loss, and the error that it sends back, all inside one time step.

Source: [DECOLLE] equations 5 to 9 with the number formats of [ICONS]; NUMERICS section 4. B batch, F features (the
pooled maps, C * H' * W' of them), K classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics.refractory_lif import MembraneStep
from qsnn.quantization import Format, quantize, quantize_error, symmetric, unsigned
from qsnn.quantization.accumulators import FLOAT32_CODES
from qsnn.quantization.reductions import ALONE, Reductions

ACTIVITY_MARGIN, POTENTIAL_TARGET = 0.01, 0.1
L1_FACTOR, L2_FACTOR = 20.0, 0.1
LANES, SHARE = 64, 2**15
"""Floats that any CPU computes alike, a multiple of what its vectors hold; and so many that torch gives them to one thread."""


class ReadoutParameters(NamedTuple):
    """``weight`` G and ``feedback``, both fixed, (K, F); ``scale``: readout_scale; ``l1``, ``l2``: activity regularisers;
    ``pooling``: side of the pooling window; ``readout_weight_bits``: of both matrices."""

    weight: Tensor
    feedback: Tensor
    scale: float
    sigmoid_bits: int | None
    readout_bits: int | None
    error_bits: int | None
    l1: float
    l2: float
    pooling: int
    readout_weight_bits: int | None = None


class Activation(NamedTuple):
    """Of the pooled membrane, maps (B, C, H', W'): ``spikes`` 0 or 1, float32; ``value`` z' = maxpool(sigmoid(U)), which is
    the sigmoid of the pooled U; ``feature`` z = quantize_unsigned(z'). ``totals``: sum of z' of each sample (B,), double."""

    spikes: Tensor
    value: Tensor
    feature: Tensor
    totals: Tensor

    @property
    def total(self) -> Tensor:
        """The sum of z', a scalar."""
        return self.totals.sum()

    def mean(self) -> Tensor:
        """mean(z'), a scalar, of as many samples as ``totals`` has."""
        return self.total / (len(self.totals) * self.value.shape[1:].numel())


class ReadoutError(NamedTuple):
    """``error``: dL/dr (B, K), masked by the dropout and quantized; ``fit``: the loss's first term, a scalar."""

    error: Tensor
    fit: Tensor


class MembraneError(NamedTuple):
    """e_U (B, C, H, W) as max-pooling leaves it: ``at_winners`` (B, C, H', W') where the ``winner`` of each window says
    (`MembraneStep`), and at all other places of the maps, (H, W) = ``size``, the scalar ``elsewhere``; ``bits`` of both."""

    at_winners: Tensor
    winner: Tensor
    elsewhere: Tensor
    size: tuple[int, ...]
    bits: int | None

    def dense(self) -> Tensor:
        """e_U itself, (B, C, H, W)."""
        if self.at_winners.shape[2:] == self.size:
            return self.at_winners
        B, C = self.at_winners.shape[:2]
        maps = self.elsewhere.expand(B, C, *self.size).contiguous(memory_format=torch.channels_last)
        maps.flatten(2).scatter_(2, self.winner.flatten(2).long(), self.at_winners.flatten(2))
        return maps


def activate(pooled: Tensor, sigmoid_bits: int | None) -> Activation:
    """Spikes, z' and z of the pooled membrane (B, C, H', W')."""
    value = sigmoid(pooled)
    spikes = (pooled >= 0).to(pooled.dtype)
    totals = value.sum((1, 2, 3), dtype=torch.float64)
    return Activation(spikes, value, quantize(value, unsigned(sigmoid_bits)), totals)


def sigmoid(pooled: Tensor) -> Tensor:
    """torch's sigmoid of maps (B, C, H, W), each value by itself.

    torch computes the last few elements of a tensor, or of a thread's share of it, by another function than those before, which
    differs in the last bit of some; so shares are of whole `LANES` here, and a tensor without as many is filled up.
    """
    flat = pooled.permute(0, 2, 3, 1).reshape(-1)
    missing = -flat.numel() % LANES
    if missing:
        flat = torch.cat([flat, flat.new_zeros(missing)])
    parts = flat.split(SHARE) if torch.get_num_threads() > 1 else (flat,)
    value = torch.cat([part.sigmoid() for part in parts]) if len(parts) > 1 else parts[0].sigmoid()
    B, C, H, W = pooled.shape
    return value[: pooled.numel()].view(B, H, W, C).permute(0, 3, 1, 2)


def local_readout(features: Tensor, parameters: ReadoutParameters) -> Tensor:
    """``r = (quantize_symmetric(z G^T / readout_scale) + 1) / 2`` (B, K) of z (B, F), before dropout.

    In [0, 1] unless in full precision.
    """
    return (quantize(readout_sums(features, parameters), symmetric(parameters.readout_bits)) + 1) / 2


def readout_sums(features: Tensor, parameters: ReadoutParameters) -> Tensor:
    """``z G^T / readout_scale`` (B, K) of z (B, F)."""
    return features @ parameters.weight.T / parameters.scale


def readout_is_exact(parameters: ReadoutParameters) -> bool:
    """Whether `readout_sums` are sums of codes that float32 holds, in whatever order."""
    return _sums_are_exact(parameters.weight, 1, unsigned(parameters.sigmoid_bits), parameters)


def feedback_is_exact(parameters: ReadoutParameters) -> bool:
    """Whether the sums of readout errors through the feedback matrix are."""
    return _sums_are_exact(parameters.feedback, 0, symmetric(parameters.error_bits), parameters)


def _sums_are_exact(matrix: Tensor, dim: int, codes: Format | None, parameters: ReadoutParameters) -> bool:
    """Of a fixed matrix along ``dim`` with values of a format; None: full precision, of which nothing is known."""
    fmt = symmetric(parameters.readout_weight_bits)
    if codes is None or fmt is None:
        return False
    return bool(matrix.abs().sum(dim, dtype=torch.float64).max() * fmt.levels * codes.high <= FLOAT32_CODES)


def readout_error(readout: Tensor, target: Tensor, mask: Tensor, error_bits: int | None) -> ReadoutError:
    """``fit = 0.5 sum((m r - y)^2)``, or ``mean((m r - y)^2)`` where error_bits is None, and its gradient at r.

    ``readout`` r before dropout, ``target`` y one-hot, ``mask`` m of the dropout, 0 or 1, all (B, K).
    """
    difference = readout * mask - target
    square = difference**2
    if error_bits is None:
        return ReadoutError(2 * difference / difference.numel() * mask, square.mean())
    return ReadoutError(quantize_error(difference * mask, error_bits), 0.5 * square.sum())


def local_loss(fit: Tensor, activation: Tensor, membrane: Tensor, parameters: ReadoutParameters) -> Tensor:
    """``fit + 20 l1 mean(relu(z' + 0.01)) + 0.1 l2 relu(0.1 - mean(U))``, a scalar, of mean(z') and mean(U); z' > 0."""
    p = parameters
    activity = L1_FACTOR * p.l1 * (activation + ACTIVITY_MARGIN)
    return fit + activity + L2_FACTOR * p.l2 * (POTENTIAL_TARGET - membrane).relu()


def activity_gradient(count: int, parameters: ReadoutParameters) -> float:
    """The l1 term's gradient at each of ``count`` activations z'."""
    return L1_FACTOR * parameters.l1 / count


def potential_gradient(mean: Tensor, count: int, parameters: ReadoutParameters) -> Tensor:
    """The l2 term's gradient at each of ``count`` membranes, a float32 scalar: -0.1 l2 / count while mean(U) < 0.1, else 0."""
    return torch.where(mean < POTENTIAL_TARGET, -L2_FACTOR * parameters.l2 / count, 0.0).to(torch.float32)


def membrane_gradient(
    back: Tensor,
    activation: Tensor,
    step: MembraneStep,
    parameters: ReadoutParameters,
    samples: int | None = None,
    over: Reductions = ALONE,
) -> Tensor:
    """g_U of `membrane_error`, flat: at the winners and, where there are other places, what it is at all of these."""
    p, samples = parameters, len(back) if samples is None else samples
    error = quantize_error(back, p.error_bits, over) + activity_gradient(samples * back.shape[1:].numel(), p)
    l2_term = potential_gradient(step.mean(samples), step.count(samples), p)
    gradient = (error * (1 - activation) * activation + l2_term).flatten()
    return torch.cat((gradient, l2_term.expand(1 if back.numel() < step.membrane.numel() else 0)))


def membrane_error(
    back: Tensor,
    activation: Tensor,
    step: MembraneStep,
    parameters: ReadoutParameters,
    samples: int | None = None,
    over: Reductions = ALONE,
) -> MembraneError:
    """The error at U, straight through its quantizer, as the weights learn from it.

        e   = quantize_error(back) + l1 term
        g_U = (e (1 - z') z' at the winner of each pooling window, 0 elsewhere) + l2 term     e_U = quantize_error(g_U)

    ``back``: the readout's error through the feedback matrix, and ``activation`` z', both (B, C, H', W'). Of a part of a batch:
    ``samples`` of the whole, which ``step.total`` is of then, and maxima ``over`` all parts.
    """
    p = parameters
    quantized = quantize_error(membrane_gradient(back, activation, step, p, samples, over), p.error_bits, over)
    at_winners = quantized[: back.numel()].view(back.shape)
    elsewhere = quantized[-1] if len(quantized) else quantized.new_zeros(())
    return MembraneError(at_winners, step.winner, elsewhere, tuple(step.membrane.shape[2:]), p.error_bits)
