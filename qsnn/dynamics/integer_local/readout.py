"""The local readout, its error, and the error at the membrane, in codes.

A code u of the membrane stands for v = 8 * 2^-(ub-1) u. Tables over its codes, from -(2^(ub-1) - 1) upward:

    Z[u] = min(rint(sigmoid(v) 2^sb), 2^sb - 1)     D[u] = rint(sigmoid(v) (1 - sigmoid(v)) 2^16)

in double; Z of one bit of U has an entry for the code 0, which it never takes.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics.integer_local.fixed_point import (
    constant,
    error_codes,
    highest_code,
    point,
    rounded_code,
)
from qsnn.dynamics.integer_local.membrane import potential_step
from qsnn.dynamics.local_readout import L1_FACTOR, L2_FACTOR, POTENTIAL_TARGET, Activation, MembraneError
from qsnn.dynamics.refractory_lif import MembraneStep
from qsnn.quantization.reductions import ALONE, Reductions, size_of

FRACTION = 8
"""The l1 term has so many bits below a code of the error, the l2 term so many below a product with D."""
SLOPE_POINT = 16


class IntegerReadout(NamedTuple):
    """``weight`` G and ``feedback`` F, codes (K, F), in the float type that holds their sums exactly; ``shift``: from their
    sum with z to the code of r; ``activation`` Z and ``slope`` D, int64; ``l1`` A1 and ``l2`` A2, before they are divided by
    the count."""

    weight: Tensor
    feedback: Tensor
    shift: int
    activation: Tensor
    slope: Tensor
    l1: int
    l2: int
    membrane_bits: int
    sigmoid_bits: int
    readout_bits: int
    error_bits: int
    pooling: int


class ReadoutFormats(NamedTuple):
    """The widths of `integer_readout`; ``scale_exponent``: of readout_scale, a power of two."""

    membrane_bits: int
    sigmoid_bits: int
    weight_bits: int
    readout_bits: int
    error_bits: int
    scale_exponent: int


def exact_floats(codes: Tensor, dim: int, factor: int) -> Tensor:
    """A matrix of codes for products whose sums run over ``dim`` with codes of at most ``factor``: float32 where it holds all
    such sums exactly, else float64."""
    bound = int(codes.abs().sum(dim, dtype=torch.int64).max()) * factor
    return codes.to(torch.float32 if bound <= 2**24 else torch.float64)


def integer_readout(
    weight: Tensor, feedback: Tensor, formats: ReadoutFormats, l1: float, l2: float, pooling: int
) -> IntegerReadout:
    """``weight`` and ``feedback``: codes (K, F), of an integer type. Raises ConfigError for constants of more than 53 bits."""
    f, highest = formats, highest_code(formats.membrane_bits)
    potential = torch.arange(-highest, highest + 1, dtype=torch.float64) * potential_step(f.membrane_bits)
    sigmoid = potential.sigmoid()
    activation = (sigmoid * 2**f.sigmoid_bits).round().clamp(max=2**f.sigmoid_bits - 1)
    slope = (sigmoid * (1 - sigmoid) * 2**SLOPE_POINT).round()
    unit = 2.0 ** (point(f.error_bits) + FRACTION)
    matrices = (
        exact_floats(weight, 1, 2**f.sigmoid_bits - 1),
        exact_floats(feedback, 0, highest_code(f.error_bits)),
    )
    return IntegerReadout(
        *matrices, f.sigmoid_bits + point(f.weight_bits) + f.scale_exponent - point(f.readout_bits),
        activation.to(torch.int64), slope.to(torch.int64), constant(L1_FACTOR * l1 * unit),
        constant(L2_FACTOR * l2 * unit * 2.0**SLOPE_POINT),
        f.membrane_bits, f.sigmoid_bits, f.readout_bits, f.error_bits, pooling,
    )  # fmt: skip


def activate(pooled: Tensor, readout: IntegerReadout) -> Activation:
    """Of the pooled membrane's codes (B, C, H', W'): spikes, and z = Z[u] as float32, in which matrix products count.

    ``value`` is z too: what the loss says of z' is told from it.
    """
    z = readout.activation[pooled.to(torch.int64) + highest_code(readout.membrane_bits)]
    feature = z.to(torch.float32)
    return Activation((pooled >= 0).to(torch.float32), feature, feature, z.sum((1, 2, 3)))


def readout_codes(features: Tensor, readout: IntegerReadout) -> Tensor:
    """c (B, K), int64, of z (B, F)."""
    sums = (features.to(readout.weight.dtype) @ readout.weight.T).to(torch.int64)
    return rounded_code(sums, readout.shift, readout.readout_bits)


def readout_values(codes: Tensor, readout: IntegerReadout) -> Tensor:
    """r = (c + 2^(ab-1)) 2^-ab as float32, exactly."""
    return (codes + 2 ** point(readout.readout_bits)).to(torch.float32) * 2.0**-readout.readout_bits


def feedback_sums(error: Tensor, readout: IntegerReadout) -> Tensor:
    """e_r F, whole floats (B, F), of the readout's error (B, K) in units of its format."""
    codes = error * 2.0 ** point(readout.error_bits)
    return codes.to(readout.feedback.dtype) @ readout.feedback


def rounded_share(numerator: int, count: int) -> int:
    """``rint(numerator / count)`` of whole numbers of at least 0, half up."""
    return (2 * numerator + count) // (2 * count)


def activity_term(count: int, readout: IntegerReadout) -> int:
    """L1 for so many activations."""
    return rounded_share(readout.l1, count)


def potential_term(total: int, count: int, readout: IntegerReadout) -> int:
    """L2 for ``count`` membranes whose codes sum to ``total``: 0 unless their mean is below 0.1."""
    tenths = round(1 / POTENTIAL_TARGET) * round(potential_step(1))
    below = tenths * total < count << point(readout.membrane_bits)
    return -rounded_share(readout.l2, count) if below else 0


def largest_of(own: int, over: Reductions) -> int:
    """The largest of whole numbers below 2^53, ``own`` being that of a part."""
    return own if over is ALONE else int(over.largest(torch.tensor([own], dtype=torch.float64)))


def membrane_gradient(
    back: Tensor, step: MembraneStep, readout: IntegerReadout, samples: int | None = None, over: Reductions = ALONE
) -> tuple[Tensor, int]:
    """g at the winners, int64 of the shape of ``back``, and elsewhere."""
    x, samples = back.to(torch.int64), len(back) if samples is None else samples
    e = error_codes(x, largest_of(int(size_of(x)), over), readout.error_bits)
    slope = readout.slope[step.pooled.to(torch.int64) + highest_code(readout.membrane_bits)]
    elsewhere = potential_term(int(step.total), step.count(samples), readout)
    activity = activity_term(samples * back.shape[1:].numel(), readout)
    return ((e << FRACTION) + activity) * slope + elsewhere, elsewhere


def membrane_error(
    back: Tensor, step: MembraneStep, readout: IntegerReadout, samples: int | None = None, over: Reductions = ALONE
) -> MembraneError:
    """e_U in codes, int16, from the readout's error through the feedback matrix, whole numbers (B, C, H', W').

    Of a part of a batch: ``samples`` of the whole, which ``step.total`` is of then, and maxima ``over`` all parts.
    """
    gradient, elsewhere = membrane_gradient(back, step, readout, samples, over)
    gaps = back.numel() < step.membrane.numel()
    largest = largest_of(max(int(size_of(gradient)), abs(elsewhere) if gaps else 0), over)
    rest = torch.tensor(elsewhere, device=back.device)
    codes, rest = (error_codes(part, largest, readout.error_bits).to(torch.int16) for part in (gradient, rest))
    return MembraneError(codes, step.winner, rest, tuple(step.membrane.shape[2:]), readout.error_bits)
