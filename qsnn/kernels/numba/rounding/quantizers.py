"""Jitted quantizers of errors, and sizes. Kernels work on elements or rows ``start`` to ``stop``."""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.rounding.scalars import code_of, factors_of, parts_of, size_of
from qsnn.kernels.numba.runtime.compile import GRID, MATRIX, OPTIONS, ROW, compiled, compiled_for


@compiled("UniTuple(float32, 2)(int32, float32)")
def error_factors(size, levels):
    """`factors_of` for Python."""
    return factors_of(size, levels)


@compiled(f"int32(int64, int64, {ROW})")
def largest_size(start, stop, x):
    """The bits of max|x|; those of a NaN if there is one."""
    largest, x = np.int32(0), x[start:stop]
    for i in range(x.size):
        largest = max(largest, size_of(x[i]))
    return largest


@njit(**OPTIONS)
def _quantize_row(r, low, high, x, factors, grid, codes):
    strays = np.int32(0)
    for i in range(low, high):
        code = code_of(x[r, i] * factors[0] * factors[1], grid)
        strays = np.int32(strays | np.int32(code != code))
        codes[r, i] = np.int32(code)
    return strays


@compiled_for(f"b1(int64, int64, {MATRIX}, UniTuple(float32, 2), {GRID}, {{0}}[:,::1])", "int8", "int16")
def quantize_scaled(start, stop, x, factors, grid, codes):
    """Rows of the integer codes of ``quantize(x * factors / levels)``; whether there was no NaN."""
    strays = 0
    for r in range(start, stop):
        for low, high in parts_of(0, x.shape[1], 64):
            strays |= _quantize_row(r, low, high, x, factors, grid, codes)
    return strays == 0


@njit(**OPTIONS)
def _float_row(codes, step, out):
    for i in range(np.uint64(out.size)):
        out[i] = step * np.float32(codes[i])


@compiled_for(f"void(int64, int64, {{0}}[:,::1], float32, {MATRIX})", "int8", "int16")
def to_floats(start, stop, codes, step, out):
    """Rows of ``out = step * codes``; the codes may have more columns."""
    for r in range(start, stop):
        _float_row(codes[r], step, out[r])
