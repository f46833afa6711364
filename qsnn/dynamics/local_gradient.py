"""What the weights of a local-learning layer learn: products of the errors at its membrane with the traces of its input.

NUMERICS section 4. B batch, C H W input maps, O output maps, k side of the kernel.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics.local_readout import MembraneError
from qsnn.dynamics.traces import TraceParameters
from qsnn.quantization import divide, unsigned
from qsnn.quantization.reductions import ALONE, Reductions


class WeightGradient(NamedTuple):
    """Sums over batch and space, float32: ``weight`` (O, C, k, k) and ``bias`` (O)."""

    weight: Tensor
    bias: Tensor


def convolution_gradient(error: Tensor, trace: Tensor, weight: Tensor, padding: int) -> WeightGradient:
    """Gradients of ``weight`` (of which only the shape matters) and bias of the convolution of ``trace``."""
    sizes, strides, pads = [weight.shape[0]], [1, 1], [padding, padding]
    _, weight_gradient, bias_gradient = torch.ops.aten.convolution_backward(
        error, trace, weight, sizes, strides, pads, [1, 1], False, [0, 0], 1, [False, True, True]
    )
    return WeightGradient(weight_gradient, bias_gradient)


def trace_codes(trace: Tensor, parameters: TraceParameters) -> Tensor:
    """The integers that P stands for, as floats; P itself in full precision."""
    fmt = unsigned(parameters.membrane_trace_bits)
    return trace if fmt is None else (divide(trace, parameters.membrane_full_scale) * fmt.levels).round()


def trace_unit(parameters: TraceParameters) -> float:
    """What a code of `trace_codes` is worth."""
    fmt = unsigned(parameters.membrane_trace_bits)
    return 1.0 if fmt is None else parameters.membrane_full_scale / fmt.levels


def exact_dtype(tensor: Tensor) -> torch.dtype:
    """In which sums of products of codes are exact: 2^31 a product at most, for 16 bits, of which float64 holds four million.

    A GPU is slow at doubles: there sums are float32, and may differ from a CPU's in their last bits.
    """
    return torch.float64 if tensor.device.type == "cpu" else torch.float32


def weight_gradient(
    error: MembraneError,
    trace: Tensor,
    weight: Tensor,
    padding: int,
    parameters: TraceParameters,
    over: Reductions = ALONE,
) -> WeightGradient:
    """The gradients from e_U and the trace P (B, C, H, W); of a part of a batch, ``over`` all parts.

    Products of codes are summed exactly and rounded once, so that every order of the sum gives the same bits. So are those
    behind a pooling in full precision, where few places have an error worth a multiplication: in double. Without pooling
    they are torch's float32 gradient there.
    """
    dense = error.dense()
    if dense is error.at_winners and (error.bits is None or parameters.membrane_trace_bits is None):
        return convolution_gradient(dense, trace, weight, padding)
    exact = exact_dtype(trace)
    parts = dense.to(exact), trace_codes(trace, parameters).to(exact), weight.to(exact)
    sums = total_of(convolution_gradient(*parts, padding), over)
    return WeightGradient((sums.weight * trace_unit(parameters)).float(), sums.bias.float())


def total_of(sums: WeightGradient, over: Reductions) -> WeightGradient:
    """Both ``over`` all parts of a batch, in one go."""
    if over is ALONE:
        return sums
    flat = over.total(torch.cat([sums.weight.flatten(), sums.bias]))
    return WeightGradient(flat[: sums.weight.numel()].view(sums.weight.shape), flat[sums.weight.numel() :])
