"""Jitted weight updates, in place: one pass over weights, gradient and slots for all that happens to them in a step.

That is, row by row while the row is in the cache: stochastic rounding of the gradient, the update rule, the check for
NaN and Inf, the clamp to the range of the weights' format, and their integer codes for the next forward pass. Equal to
`qsnn.kernels.eager.train_weights`. Kernels work on rows ``start`` to ``stop`` of (I, N).

``rounding``: two factors that together are 1 / shift(max|g|), eta, steps of the random numbers per one, unit of the
result; steps of 0 leave the gradient as it is. ``draw``: the stream's first number before it is mixed, rng_bits, and by
how many bits the number is shifted down to count the steps: 1 by the original rule, 0 by the unbiased one, for which
frac > u is frac >= u + 1, so that both compare with (k + 1) >> shift.
``settings`` of the rule: what depends on the step alone is computed once by the caller, as in the definition.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.dynamics.weight_updates import SMALLEST
from qsnn.kernels.numba.rounding.scalars import INFINITY, ONE, ZERO, code_of, size_of
from qsnn.kernels.numba.runtime.compile import GRID, MATRIX, OPTIONS, Kernel, compiled
from qsnn.quantization.random_stream import GAMMA as _GAMMA
from qsnn.quantization.random_stream import MIX_1 as _MIX_1
from qsnn.quantization.random_stream import MIX_2 as _MIX_2

DUST = np.float32(SMALLEST)
GAMMA, MIX_1, MIX_2 = np.uint64(_GAMMA), np.uint64(_MIX_1), np.uint64(_MIX_2)
ROUNDING, DRAW = "UniTuple(float32, 5)", "UniTuple(uint64, 3)"


@njit(**OPTIONS)
def _draw_row(first, rng_bits, shift, codes):
    """`uniform_codes`: the numbers of SplitMix64 after the one whose state is ``first``, from which on rounding is up."""
    down = np.uint64(64) - rng_bits
    for i in range(np.uint64(codes.size)):
        z = first + i * GAMMA
        z = (z ^ (z >> np.uint64(30))) * MIX_1
        z = (z ^ (z >> np.uint64(27))) * MIX_2
        z = (z ^ (z >> np.uint64(31))) >> down
        codes[i] = np.int32((z + np.uint64(1)) >> shift)


@njit(**OPTIONS)
def _round_row(gradient, codes, rounding, out):
    """`quantize_gradient` of a row."""
    factor, rest, eta, steps, unit = rounding
    for i in range(out.size):
        scaled = eta * (gradient[i] * factor * rest)
        size = abs(scaled)
        whole = np.floor(size)
        code = abs(np.float32(codes[i]))  # 2^31, of rng_bits = 32, is negative as an int32
        up = ONE if np.rint((size - whole) * steps) >= code else ZERO
        direction = ONE if scaled > ZERO else (-ONE if scaled < ZERO else scaled)
        out[i] = direction * (whole + up) * unit


@njit(**OPTIONS)
def _largest_of(row):
    """The bits of max|x|."""
    largest = np.int32(0)
    for i in range(row.size):
        largest = max(largest, size_of(row[i]))
    return largest


@njit(**OPTIONS)
def _rounded(r, gradient, rounding, draw, codes, out):
    """Row ``r`` of the rounded gradient, into ``out``; the bits of its max|G|, 0 if it is not rounded.

    Its random numbers are counted, and drawn if they matter.
    """
    row = gradient[r]
    if rounding[3] == ZERO:
        out[:] = row
    elif _largest_of(row) == 0:
        out[:] = ZERO
    else:
        _draw_row(draw[0] + np.uint64(r) * np.uint64(row.size) * GAMMA, draw[1], draw[2], codes)
        _round_row(row, codes, rounding, out)
        return _largest_of(out)
    return np.int32(0)


@njit(**OPTIONS)
def _into_range(weight, grid, codes):
    """Clamp a row and write its codes; returns whether one was NaN or Inf before. Nothing to do in full precision."""
    levels, high, _ = grid
    largest, bad = high / levels, np.int32(0)
    for i in range(weight.size):
        w = weight[i]
        bad = np.int32(bad | np.int32(size_of(w) >= INFINITY))
        w = -largest if w < -largest else w
        w = largest if w > largest else w
        weight[i] = w
        codes[i] = np.int32(code_of(w * levels, grid))
    return bad != 0


@njit(**OPTIONS)
def _any_bad(weight):
    bad = np.int32(0)
    for i in range(weight.size):
        bad = np.int32(bad | np.int32(size_of(weight[i]) >= INFINITY))
    return bad != 0


@njit(**OPTIONS)
def _finish(r, weight, grid, codes):
    """The rest of row ``r`` after the rule; whether it holds NaN or Inf."""
    if grid[0] == ZERO:
        return _any_bad(weight[r])
    return _into_range(weight[r], grid, codes[r])


@njit(**OPTIONS)
def _without_dust(mean):
    return ZERO if abs(mean) < DUST else mean


@njit(**OPTIONS)
def _sgd_row(weight, gradient, settings):
    """``w = w - lr * G``."""
    lr = settings[0]
    for i in range(weight.size):
        weight[i] -= lr * gradient[i]


@njit(**OPTIONS)
def _momentum_row(weight, gradient, moving, settings):
    """``b = momentum * b + G``, ``w = w - lr * b``."""
    lr, momentum = settings[0], settings[1]
    for i in range(weight.size):
        moving[i] = _without_dust(momentum * moving[i] + gradient[i])
        weight[i] -= lr * moving[i]


@njit(**OPTIONS)
def _grid_momentum_row(weight, gradient, moving, settings):
    """The same with what is left of b cut off to multiples of ``step``, a power of two."""
    lr, momentum, step = settings
    levels = ONE / step
    for i in range(weight.size):
        moving[i] = _without_dust(np.trunc(momentum * moving[i] * levels) * step + gradient[i])
        weight[i] -= lr * moving[i]


@njit(**OPTIONS)
def _adam_row(weight, gradient, mean, square, settings):
    """`Adam.update`."""
    rate, beta1, rest1, beta2, rest2, correction, eps = settings
    for i in range(weight.size):
        g = gradient[i]
        mean[i] = _without_dust(beta1 * mean[i] + rest1 * g)
        square[i] = _without_dust(beta2 * square[i] + rest2 * (g * g))
        weight[i] -= rate * (mean[i] / (np.sqrt(square[i] * correction) + eps))


@njit(**OPTIONS)
def _adamax_row(weight, gradient, mean, largest, settings):
    """`Adamax.update`. A NaN in either argument of the maximum stays."""
    rate, beta1, rest1, beta2, eps = settings
    for i in range(weight.size):
        g = gradient[i]
        mean[i] = _without_dust(beta1 * mean[i] + rest1 * g)
        decayed, size = beta2 * largest[i], abs(g) + eps
        larger = decayed if decayed > size else size
        largest[i] = decayed if decayed != decayed else larger
        weight[i] -= rate * (mean[i] / largest[i])


@compiled(f"int32(int64, int64, {MATRIX}, {ROUNDING}, {DRAW}, {MATRIX})")
def round_stochastically(start, stop, gradient, rounding, draw, out):
    """`quantize_gradient` with number n of the stream for element n; the bits of max|G|."""
    numbers, largest = np.empty(gradient.shape[1], np.int32), np.int32(0)
    for r in range(start, stop):
        largest = max(largest, _rounded(r, gradient, rounding, draw, numbers, out[r]))
    return largest


@njit(**OPTIONS)
def _update_row(r, weight, gradient, slots, settings):
    """The update rule that has so many settings: SGD, with momentum, the same on a grid, Adamax, Adam."""
    if len(settings) == 1:
        _sgd_row(weight, gradient, settings)
    elif len(settings) == 2:
        _momentum_row(weight, gradient, slots[0][r], settings)
    elif len(settings) == 3:
        _grid_momentum_row(weight, gradient, slots[0][r], settings)
    elif len(settings) == 5:
        _adamax_row(weight, gradient, slots[0][r], slots[1][r], settings)
    else:
        _adam_row(weight, gradient, slots[0][r], slots[1][r], settings)


def _update_rows(start, stop, weight, gradient, slots, settings, rounding, draw, grid, codes, rounded):
    """All that happens to rows of weights; whether one was NaN or Inf, and the bits of the rounded gradient's max|G|.

    ``rounded`` without rows is not written.
    """
    numbers, scratch = np.empty(weight.shape[1], np.int32), np.empty(weight.shape[1], np.float32)
    bad, largest = False, np.int32(0)
    for r in range(start, stop):
        step = rounded[r] if rounded.shape[0] else scratch
        largest = max(largest, _rounded(r, gradient, rounding, draw, numbers, step))
        _update_row(r, weight[r], step, slots, settings)
        bad |= _finish(r, weight, grid, codes)
    return bad, largest


def _kernel(num_slots: int, num_settings: int, kind: str) -> Kernel:
    slots = f"UniTuple({MATRIX}, {num_slots})" if num_slots else "Tuple(())"
    return compiled(
        f"Tuple((b1, int32))(int64, int64, {MATRIX}, {MATRIX}, {slots}, UniTuple(float32, {num_settings}), {ROUNDING}, "
        f"{DRAW}, {GRID}, {kind}[:,::1], {MATRIX})"
    )(_update_rows)


_RULES = {1: 0, 2: 1, 3: 1, 5: 2, 7: 2}  # settings: slots
update_rows = {
    (num_settings, np.dtype(kind)): _kernel(num_slots, num_settings, kind)
    for num_settings, num_slots in _RULES.items()
    for kind in ("int8", "int16")
}
