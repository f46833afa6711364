"""What a backend is for local learning: the recurrences between the convolutions, all equal to the last bit on grids."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from qsnn.dynamics.local_readout import membrane_error
from qsnn.dynamics.refractory_lif import MembraneStep, RefractoryParameters, membrane_step
from qsnn.dynamics.traces import TraceParameters, TraceState, trace_step


class LocalBackend(NamedTuple):
    """The fused operations of a layer's time step; maps are (B, C, H, W), float32, best in the channels-last format."""

    name: str
    trace_step: Callable[[Tensor, TraceState, TraceParameters], TraceState]
    """input spikes, traces, parameters -> the next traces; may reuse the memory of the old ones"""
    membrane_step: Callable[[Tensor, Tensor, RefractoryParameters], MembraneStep]
    """drive, refractory state, parameters -> membrane, refractory state, pooled membrane and where it was found"""
    membrane_error: Callable[[Tensor, Tensor, MembraneStep, int, Tensor, int | None], Tensor]
    """error at z', z', the membrane's step, pooling, offset, error_bits -> error at the membrane"""


LOCAL_EAGER = LocalBackend("eager", trace_step, membrane_step, membrane_error)


def select_local_backend(name: str) -> LocalBackend:
    """The operations that belong to the backend that `select_backend` has chosen: "eager" or "numba"."""
    if name == "eager":
        return LOCAL_EAGER
    from qsnn.kernels.numba_local import LOCAL_NUMBA  # takes numba with it, most of a second

    return LOCAL_NUMBA
