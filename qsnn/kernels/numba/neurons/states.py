"""States, decays and surrogates of neurons as the kernels want them; two things per neuron as one array (2, B*N)."""

import functools

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import LIFParameters, LIFState
from qsnn.dynamics.surrogate import HasThreshold, range_of, table_of
from qsnn.kernels.numba.runtime.arrays import array


def _pair(synapse: float | Tensor, membrane: float | Tensor, shape: torch.Size) -> np.ndarray:
    """Two things per neuron, floats or tensors that broadcast to (B, N), as one array (2, B*N)."""
    pair = np.empty((2, *shape), np.float32)
    for row, values in zip(pair, (synapse, membrane), strict=True):
        row[...] = array(values) if isinstance(values, Tensor) else values
    return pair.reshape(2, -1)


_same_pair = functools.lru_cache(maxsize=64)(_pair)  # kernels do not write to it


def decays(parameters: LIFParameters, shape: torch.Size) -> np.ndarray:
    """The decays of synapse and membrane, one per neuron."""
    both = parameters.synapse_decay, parameters.membrane_decay
    return (_pair if any(isinstance(decay, Tensor) for decay in both) else _same_pair)(*both, shape)


def states(state: LIFState | None, shape: torch.Size) -> np.ndarray:
    """The states, 0 for None."""
    return _same_pair(0.0, 0.0, shape) if state is None else _pair(*state, shape)


def surrogate(neuron: HasThreshold) -> tuple[float] | tuple[np.ndarray, float]:
    """What `lif` calls ``surrogate``: the slope, or the table and the membrane's levels."""
    table = table_of(neuron)
    return (neuron.surrogate_slope,) if table is None else (array(table[0]), 2.0 ** (table[1] - 1) / range_of(neuron))
