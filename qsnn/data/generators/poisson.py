"""The pattern task's input: a raster in which every channel spikes at its own mean interval."""

import numpy as np
import torch
from torch import Tensor

from qsnn.data.streams import random_stream

# Intervals drawn for a channel at a time. Slow channels are done after one block and drop out of the next.
_BLOCK = 64


def mean_intervals(num_inputs: int) -> np.ndarray:
    """Mean interval of each channel, `m[i] = 1 + 0.25 * (i // 5 + 1)` steps, shape [num_inputs], float64."""
    return 1 + 0.25 * (np.arange(num_inputs) // 5 + 1)


def generate_poisson_input(num_steps: int, num_inputs: int, seed: int) -> Tensor:
    """Draw a spike raster, float32 of 0/1, shape [num_steps, num_inputs].

    Channel i spikes at steps k1, k1 + k2, k1 + k2 + k3, ... below num_steps, where every k is drawn from
    Poisson(`mean_intervals`[i]). A k of zero falls on the spike before it, and the two merge. The same seed (an integer
    >= 0) gives the same raster, as long as numpy draws its Poisson numbers in the same way.

    Source: the ISCAS pattern task (shared input of every epoch).
    """
    rng = random_stream(seed, "input")
    raster = np.zeros((num_steps, num_inputs), dtype=np.float32)
    means = mean_intervals(num_inputs)
    last_step = np.zeros(num_inputs, dtype=np.int64)
    pending = np.arange(num_inputs)
    while pending.size:
        intervals = rng.poisson(means[pending, None], size=(pending.size, _BLOCK))
        steps = last_step[pending, None] + intervals.cumsum(axis=1)
        row, column = np.nonzero(steps < num_steps)
        raster[steps[row, column], pending[row]] = 1
        last_step[pending] = steps[:, -1]
        pending = pending[steps[:, -1] < num_steps]
    return torch.from_numpy(raster)
