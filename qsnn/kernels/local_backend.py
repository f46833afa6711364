"""What a backend is for local learning: convolutions and the recurrences between them, all equal to the last bit on grids."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from qsnn.dynamics.code_products import convolve_codes, correlate_codes
from qsnn.dynamics.local_drive import WeightGrid, drive
from qsnn.dynamics.local_gradient import WeightGradient, weight_gradient
from qsnn.dynamics.local_readout import (
    Activation,
    MembraneError,
    ReadoutError,
    activate,
    membrane_error,
    readout_error,
)
from qsnn.dynamics.refractory_lif import MembraneStep, RefractoryParameters, membrane_step
from qsnn.dynamics.traces import TraceParameters, TraceState, trace_step


class LocalBackend(NamedTuple):
    """The fused operations of a layer's time step; maps are (B, C, H, W), float32, best in the channels-last format.

    The definition of each is the function of that name in `qsnn.dynamics`; the others must return the same bits.
    """

    name: str
    trace_step: Callable[[Tensor, TraceState, TraceParameters], TraceState]
    """input spikes, traces, parameters -> the next traces; may reuse the memory of the old ones"""
    membrane_step: Callable[[Tensor, Tensor, RefractoryParameters], MembraneStep]
    """drive, refractory state, parameters -> membrane, refractory state, pooled membrane and where it was found; may reuse
    the memory of both arguments"""
    activate: Callable[[Tensor, int | None], Activation]
    """pooled membrane, sigmoid_bits -> spikes, z' and z"""
    readout_error: Callable[[Tensor, Tensor, Tensor, int | None], ReadoutError]
    """readout, target, mask, error_bits -> error at the readout and the loss's first term"""
    membrane_error: Callable[..., MembraneError]
    """error before z' is quantized, z', the membrane's step, parameters and, of a part of a batch, samples of the whole and
    over -> error at the membrane"""
    weight_gradient: Callable[..., WeightGradient]
    """error at the membrane, membrane trace, weights (for their shape), padding, parameters, over -> gradients"""

    drive: Callable[[Tensor, Tensor, Tensor, int, WeightGrid, TraceParameters], Tensor]
    """membrane trace, effective weights and bias, padding, the weights' grid, parameters -> drive of the membrane"""
    convolve_codes: Callable[[Tensor, Tensor, int], Tensor]
    """integer codes (B, C, H, W) and weights (O, C, k, k), int16, padding -> exact sums, int64 (B, O, H', W')"""
    correlate_codes: Callable[[Tensor, Tensor, int, int], Tensor]
    """errors (B, O, H', W') and codes (B, C, H, W), int16, k, padding -> exact sums, int64 (O, C, k, k)"""


LOCAL_EAGER = LocalBackend(
    "eager", trace_step, membrane_step, activate, readout_error, membrane_error, weight_gradient,
    drive, convolve_codes, correlate_codes,
)  # fmt: skip
