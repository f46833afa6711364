"""What a backend is for local learning in integers: the same operations as in `local_backend`, on codes."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from qsnn.dynamics.code_products import convolve_codes, correlate_codes
from qsnn.dynamics.integer_local.membrane import IntegerMembrane, membrane_step
from qsnn.dynamics.integer_local.readout import IntegerReadout, activate, membrane_error
from qsnn.dynamics.integer_local.rounding import gradient_codes
from qsnn.dynamics.integer_local.traces import IntegerTraces, trace_step
from qsnn.dynamics.local_gradient import WeightGradient
from qsnn.dynamics.local_readout import Activation, MembraneError
from qsnn.dynamics.refractory_lif import MembraneStep
from qsnn.dynamics.traces import TraceState
from qsnn.kernels.backend import GradientRounding, RoundedGradient
from qsnn.quantization import RandomStream, uniform_codes


class IntegerLocalBackend(NamedTuple):
    """The fused operations of a layer's time step in integers; maps are (B, C, H, W), best in the channels-last format.

    The definition of each is the function of that name in `qsnn.dynamics.integer_local`, or here; the others must return the
    same integers in the same types.
    """

    name: str
    trace_step: Callable[[Tensor, TraceState, IntegerTraces], TraceState]
    """input spikes, traces, constants -> the next traces; may reuse the memory of the old ones"""
    drive: Callable[[Tensor, Tensor, int, int], Tensor]
    """codes of P, codes of weights, padding, membrane_trace_bits -> accumulator"""
    membrane_step: Callable[[Tensor, Tensor, Tensor, IntegerMembrane], MembraneStep]
    """accumulator, bias on its grid, refractory state, constants -> the step; may reuse the memory of the refractory state"""
    activate: Callable[[Tensor, IntegerReadout], Activation]
    """pooled membrane, constants -> spikes and z"""
    membrane_error: Callable[..., MembraneError]
    """error before z, whole floats, the membrane's step, constants and, of a part of a batch, samples of the whole and over
    -> error at the membrane"""
    weight_gradient: Callable[[MembraneError, Tensor, int, int, int], WeightGradient]
    """error at the membrane, codes of P, side of the kernel, padding, membrane_trace_bits -> sums of products, int64"""
    round_gradient: Callable[[Tensor, RandomStream, GradientRounding], RoundedGradient]
    """sums of products, stream, rounding -> what the stored weights move by, float32 on their grid"""


def drive(codes: Tensor, weight: Tensor, padding: int, trace_bits: int) -> Tensor:
    """`convolve_codes`; ``trace_bits``: of the codes, for kernels whose accumulator depends on it."""
    return convolve_codes(codes, weight, padding)


def weight_gradient(error: MembraneError, codes: Tensor, size: int, padding: int, trace_bits: int) -> WeightGradient:
    """``dw = sum e_U p`` (O, C, k, k) and ``db = sum e_U`` (O) over batch and space, int64; ``trace_bits`` as in `drive`."""
    dense = error.dense()
    return WeightGradient(correlate_codes(dense, codes, size, padding), dense.sum((0, 2, 3), dtype=torch.int64))


def round_gradient(gradient: Tensor, stream: RandomStream, rounding: GradientRounding) -> RoundedGradient:
    """`gradient_codes` with the next numbers of ``stream``, times 2^-(gradient_bits-1)."""
    assert rounding.gradient_bits is not None
    random, stream = uniform_codes(stream, gradient.shape, rounding.rng_bits, "unbiased", gradient.device)
    codes = gradient_codes(gradient, random, rounding.eta, rounding.rng_bits)
    largest = int(codes.abs().max()) if codes.numel() else 0
    return RoundedGradient(codes.to(torch.float32) * 2.0 ** -(rounding.gradient_bits - 1), stream, largest)


INTEGER_LOCAL_EAGER = IntegerLocalBackend(
    "eager", trace_step, drive, membrane_step, activate, membrane_error, weight_gradient, round_gradient
)
