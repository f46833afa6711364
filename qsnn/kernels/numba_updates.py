"""Jitted weight updates, in place: one pass over weights, gradient and slots, equal to `qsnn.dynamics.weight_updates`.

Arrays are flat float32; kernels work on elements ``start`` to ``stop``. What depends on the step alone (``rate``, the
learning rate with its correction for the slots' start at 0) is computed once by the caller, as in the definition.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.dynamics.weight_updates import SMALLEST
from qsnn.kernels.numba_compile import OPTIONS, compiled

ZERO = np.float32(0)
DUST = np.float32(SMALLEST)
ROW = "float32[::1]"


@njit(**OPTIONS)
def _without_dust(mean):
    return ZERO if abs(mean) < DUST else mean


@compiled(f"void(int64, int64, {ROW}, {ROW}, float32)")
def sgd(start, stop, weight, gradient, lr):
    """``w = w - lr * G``."""
    weight, gradient = weight[start:stop], gradient[start:stop]
    for i in range(weight.size):
        weight[i] -= lr * gradient[i]


@compiled(f"void(int64, int64, {ROW}, {ROW}, {ROW}, float32, float32)")
def momentum_sgd(start, stop, weight, gradient, moving, lr, momentum):
    """``b = momentum * b + G``, ``w = w - lr * b``."""
    weight, gradient, moving = weight[start:stop], gradient[start:stop], moving[start:stop]
    for i in range(weight.size):
        moving[i] = _without_dust(momentum * moving[i] + gradient[i])
        weight[i] -= lr * moving[i]


@compiled(
    f"void(int64, int64, {ROW}, {ROW}, {ROW}, {ROW}, float32, UniTuple(float32, 2), UniTuple(float32, 2), float32, float32)"
)
def adam(start, stop, weight, gradient, mean, square, rate, beta1, beta2, correction, eps):
    """`Adam.update`. ``beta1``, ``beta2``: each with its complement to 1; ``correction`` = 1 / (1 - beta2^t)."""
    weight, gradient = weight[start:stop], gradient[start:stop]
    mean, square = mean[start:stop], square[start:stop]
    for i in range(weight.size):
        g = gradient[i]
        mean[i] = _without_dust(beta1[0] * mean[i] + beta1[1] * g)
        square[i] = _without_dust(beta2[0] * square[i] + beta2[1] * (g * g))
        weight[i] -= rate * (mean[i] / (np.sqrt(square[i] * correction) + eps))


@compiled(f"void(int64, int64, {ROW}, {ROW}, {ROW}, {ROW}, float32, UniTuple(float32, 2), float32, float32)")
def adamax(start, stop, weight, gradient, mean, largest, rate, beta1, beta2, eps):
    """`Adamax.update`. ``beta1``: with its complement to 1. A NaN in either argument of the maximum stays."""
    weight, gradient = weight[start:stop], gradient[start:stop]
    mean, largest = mean[start:stop], largest[start:stop]
    for i in range(weight.size):
        g = gradient[i]
        mean[i] = _without_dust(beta1[0] * mean[i] + beta1[1] * g)
        decayed, size = beta2 * largest[i], abs(g) + eps
        larger = decayed if decayed > size else size
        largest[i] = decayed if decayed != decayed else larger
        weight[i] -= rate * (mean[i] / largest[i])
