"""Jitted backward passes through neurons one time step at a time, for processes that have a part of the batch each.

`lif` and `recurrent` go through a whole sequence in one kernel; here every step ends where the maxima of all parts are wanted.
The equations are theirs.
"""
# mypy: allow-untyped-defs

import numpy as np

from qsnn.kernels.numba.neurons.lif import SURROGATES
from qsnn.kernels.numba.neurons.recurrent import (
    CUBE,
    KINDS,
    _add_to_spikes,
    _back_one_step,
    _multiply,
    _threshold,
)
from qsnn.kernels.numba.rounding.scalars import factors_of
from qsnn.kernels.numba.runtime.compile import GRIDS, MATRIX, compiled


def _backward_step(
    t, sizes, leaky, weights, first_sums, step, codes, feedback, grad_spikes, current, spikes, synapse, membrane, initial,
    decays, theta, surrogate, grids, old, new, thr, summed, out,
):  # fmt: skip
    """Step ``t`` of `recurrent_backward`, and the gradient at the threshold of the step before it; of T, the latter alone.

    ``sizes`` (4): bits of the maxima, over all parts, of synapse, membrane and threshold gradient in step ``t``; here put those
    of this part in the step before, and the largest of ``out`` so far. ``old``, ``new``, ``thr``: gradients of a step.
    """
    steps, batch, size = out.shape
    levels, M = grids[2][0], batch * size
    if t < steps:
        syn, mem = initial[0], initial[1]
        if t > 0:
            syn, mem = synapse[t - 1], membrane[t - 1]
        factors = (factors_of(sizes[0], levels), factors_of(sizes[1], levels), factors_of(sizes[2], levels))
        sizes[0], sizes[1], largest = _back_one_step(
            t, 0, M, leaky, syn, mem, spikes, current, decays, theta, surrogate, grids, factors, old, thr, new,
            out.reshape(steps, M),
        )  # fmt: skip
        sizes[3] = max(sizes[3], largest)
    if t > 0:
        mem = initial[1]
        if t > 1:
            mem = membrane[t - 2]
        summed[0] = grad_spikes[t - 1]
        if weights.shape[0] > 0 and t < steps:
            _multiply(0, batch, out[t], levels, codes, weights, first_sums, step, feedback)
            _add_to_spikes(0, batch, size, grad_spikes[t - 1], feedback, summed[0])
        sizes[2] = _threshold(0, M, summed, mem, theta, surrogate, grids[1], thr)


TOTALS = {1: "float32", 2: "float64"}  # of the gradient at the threshold, by length of the surrogate
backward_step = {
    (size, np.dtype(kind), length): compiled(
        f"void(int64, int32[::1], b1, {kind}[:,::1], int32[::1], float32, int8[:,::1], {total}[:,::1],"
        f" {', '.join([MATRIX] * 7)}, float32, {surrogate}, UniTuple({grid}, 4), {MATRIX}, {MATRIX},"
        f" {TOTALS[length]}[::1], {MATRIX}, {CUBE})"
    )(_backward_step)
    for size, grid in GRIDS.items()
    for kind, total in KINDS.items()
    for length, surrogate in SURROGATES.items()
    if size == 2 or kind == "float64"
}  # as `recurrent.recurrent_backward`
