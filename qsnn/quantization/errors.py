"""Quantized errors: gradients of the loss with respect to activations, of which only direction and relative size stay.

Source: Wu et al., "Training and Inference with Integers in Deep Neural Networks", ICLR 2018 [WAGE], equations 8 and 9.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from qsnn.quantization.formats import quantize, symmetric
from qsnn.quantization.reductions import ALONE, Reductions, size_of

# The largest double below sqrt(1/2). No float is sqrt(1/2) itself, so `mantissa > SQRT_HALF` is exactly
# log2(mantissa) > -1/2: rint(log2 m) without the rounding error of a logarithm, and the same on every machine.
SQRT_HALF = 0.7071067811865475


def shift(maximum: Tensor) -> Tensor:
    """``shift(m) = 2^rint(log2 m)``, the power of two nearest to ``m`` on a log scale; 1 if m = 0.

    ``maximum``: non-negative, any shape. Exact: found from the exponent and mantissa of ``m``. Not finite for NaN and Inf.
    """
    mantissa, _ = torch.frexp(maximum)  # maximum = mantissa * 2^exponent with 1/2 <= mantissa < 1
    # A division, which is exact here: torch computes ldexp by pow, and a GPU's pow(2, n) is not always a power of two.
    power = maximum / torch.where(mantissa <= SQRT_HALF, 2 * mantissa, mantissa)
    power = torch.where(maximum == 0, 1.0, power)
    return torch.where(maximum.isfinite(), power, maximum)


def quantize_error(error: Tensor, error_bits: int | None, over: Reductions = ALONE) -> Tensor:
    """``quantize_symmetric(e / shift(max|e|), error_bits)``; the identity for ``error_bits=None``.

    The maximum is over the whole tensor: pass one time step (B, N), or a whole sequence (T, B, N). The scale is not
    multiplied back, as integer hardware would have nowhere to keep it. ``over``: all parts of the tensor.
    """
    return quantize_errors([error], error_bits, over)[0]


def quantize_errors(errors: Sequence[Tensor], error_bits: int | None, over: Reductions = ALONE) -> list[Tensor]:
    """`quantize_error` of each, the maxima of all of them found in one go."""
    if error_bits is None:
        return list(errors)
    sizes = [size_of(error) for error in errors]
    if over is not ALONE:
        sizes = list(over.largest(torch.stack([size.double() for size in sizes])))
    return [quantize(error / shift(size), symmetric(error_bits)) for error, size in zip(errors, sizes, strict=True)]
