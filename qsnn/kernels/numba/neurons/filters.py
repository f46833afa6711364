"""Jitted van Rossum filters. Arrays are float32; (T, M) with M = B*N neurons. The loops are written as in `lif`."""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.rounding.scalars import parts_of
from qsnn.kernels.numba.runtime.compile import MATRIX, OPTIONS, ROW, compiled


@njit(**OPTIONS)
def _difference_step(t, low, high, spikes, target, decay, traces, new_traces, out):
    for n in range(low, high):
        of_spikes = decay * traces[0, n] + spikes[t, n]
        of_target = decay * traces[1, n] + target[t, n]
        new_traces[0, n], new_traces[1, n], out[t, n] = of_spikes, of_target, of_spikes - of_target


@compiled(f"void(int64, int64, {MATRIX}, {MATRIX}, float32, {MATRIX})")
def filtered_difference(start, stop, spikes, target, decay, out):
    """k*s - k*y, (T, M)."""
    old, new = np.zeros((2, out.shape[1]), np.float32), np.empty((2, out.shape[1]), np.float32)
    for t in range(out.shape[0]):
        for low, high in parts_of(start, stop, 16):
            _difference_step(t, low, high, spikes, target, decay, old, new, out)
        old, new = new, old


@njit(**OPTIONS)
def _add_squares(x, sums):
    for i in range(x.size):
        sums[i] += np.float64(x[i]) * np.float64(x[i])


@compiled(f"void(int64, int64, {ROW}, int64, float64[::1])")
def sums_of_squares(start, stop, x, chunk, out):
    """``out[c]`` = the sum of x^2 over chunk number c, in double."""
    for c in range(start, stop):
        sums = np.zeros(1024)
        for i in range(c * chunk, min((c + 1) * chunk, x.size), sums.size):
            _add_squares(x[i : min(i + sums.size, x.size)], sums)
        out[c] = sums.sum()


@njit(**OPTIONS)
def _filter_step(t, low, high, difference, divisor, decay, trace, out):
    for n in range(low, high):
        out[t, n] = decay * trace[n] + difference[t, n] / divisor


@compiled(f"void(int64, int64, {MATRIX}, float32, float32, {MATRIX})")
def filter_back(start, stop, difference, divisor, decay, out):
    """The exponential filter of ``difference / divisor``, run from the last step to the first."""
    trace = np.zeros(out.shape[1], np.float32)
    for t in range(out.shape[0] - 1, -1, -1):
        for low, high in parts_of(start, stop, 64):
            _filter_step(t, low, high, difference, divisor, decay, trace, out)
        trace = out[t]


@njit(**OPTIONS)
def _fixed_difference_step(t, low, high, spikes, target, decay, unit, trace, out):
    for n in range(low, high):
        trace[n] = np.trunc(decay * trace[n]) + unit * (np.float64(spikes[t, n]) - np.float64(target[t, n]))
        out[t, n] = trace[n]


@njit(**OPTIONS)
def _fixed_back_step(t, low, high, decay, trace, out):
    for n in range(low, high):
        trace[n] = np.trunc(decay * trace[n]) + np.float64(out[t, n])
        out[t, n] = trace[n]


@compiled(f"void(int64, int64, {MATRIX}, {MATRIX}, float64, float64, {MATRIX})")
def fixed_point_codes(start, stop, spikes, target, decay, unit, out):
    """`van_rossum_codes`, (T, M); ``unit``: 2^filter_bits."""
    trace = np.zeros(out.shape[1])
    for t in range(out.shape[0]):
        _fixed_difference_step(t, np.uint64(start), np.uint64(stop), spikes, target, decay, unit, trace, out)
    trace[:] = 0
    for t in range(out.shape[0] - 1, -1, -1):
        _fixed_back_step(t, np.uint64(start), np.uint64(stop), decay, trace, out)
