"""What drives the membrane of a local-learning layer: the convolution of the trace P of its input with its weights.

NUMERICS section 4. B batch, C H W input maps, O output maps, k side of the kernel.
"""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from qsnn.dynamics.local_gradient import exact_dtype, trace_codes, trace_unit
from qsnn.dynamics.traces import TraceParameters
from qsnn.quantization import divide, symmetric


class WeightGrid(NamedTuple):
    """Where a layer's effective weights lie: on symmetric(``bits``) times ``factor``; anywhere where ``bits`` is None."""

    bits: int | None
    factor: float


def weight_codes(weight: Tensor, grid: WeightGrid) -> Tensor:
    """The integers that effective weights on a ``grid`` stand for, as floats."""
    fmt = symmetric(grid.bits)
    assert fmt is not None
    return (divide(weight, grid.factor) * fmt.levels).round()


def drive_unit(grid: WeightGrid, parameters: TraceParameters) -> float:
    """What a product of a code of P and one of a weight is worth, in double."""
    fmt = symmetric(grid.bits)
    assert fmt is not None
    return trace_unit(parameters) * (grid.factor / fmt.levels)


def is_on_grids(grid: WeightGrid, parameters: TraceParameters) -> bool:
    """Whether both factors are integer codes, so that their products have an exact sum."""
    return grid.bits is not None and parameters.membrane_trace_bits is not None


def drive(
    trace: Tensor, weight: Tensor, bias: Tensor, padding: int, grid: WeightGrid, parameters: TraceParameters
) -> Tensor:
    """``conv2d(P, weight) + bias``, float32 (B, O, H', W'), of P (B, C, H, W) and effective weights (O, C, k, k).

    Of codes the products are summed exactly; the sum times `drive_unit`, plus the bias, is computed in double and rounded
    once to float32, so that every order of the sum gives the same bits. In full precision of either it is torch's float32
    convolution.
    """
    if not is_on_grids(grid, parameters):
        return functional.conv2d(trace, weight, bias, padding=padding)
    exact = exact_dtype(trace)
    codes, weights = trace_codes(trace, parameters).to(exact), weight_codes(weight, grid).to(exact)
    sums = functional.conv2d(codes, weights, padding=padding)
    return (sums * drive_unit(grid, parameters) + bias.to(exact).view(-1, 1, 1)).float()
