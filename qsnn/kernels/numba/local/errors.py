"""Jitted errors of local learning, equal to `local_readout.readout_error` and `membrane_error`; formats come as in
`kernels`."""
# mypy: allow-untyped-defs

import math

import numpy as np
from numba import njit

from qsnn.kernels.numba.local.kernels import BLOCK, FORMAT, ONE, ROW, ZERO, quantize_signed
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled
from qsnn.quantization.errors import SQRT_HALF


@njit(**OPTIONS)
def _largest(row):
    """max|x|, NaN if there is one: the bits of sizes order like integers, and the highest are those of NaN."""
    bits, largest = row.view(np.int32), np.zeros(1, np.int32)
    size = np.int32(0)
    for i in range(bits.size):
        size = max(size, bits[i] & np.int32(0x7FFFFFFF))
    largest[0] = size
    return largest.view(np.float32)[0]


@njit(**OPTIONS)
def _shift(maximum):
    """`quantization.shift`, from exponent and mantissa; 1 for 0; NaN or Inf for such."""
    value = np.float64(maximum)
    if value == 0 or not np.isfinite(value):
        return ONE if value == 0 else np.float32(value)
    mantissa, exponent = math.frexp(value)
    return np.float32(math.ldexp(1.0, exponent - (1 if mantissa <= SQRT_HALF else 0)))


@njit(**OPTIONS)
def quantize_scaled(row, scale, fmt):
    """`quantize_error` in place, with the shift ``scale``; the identity for full precision."""
    if fmt[0] == ZERO:
        return
    for i in range(row.size):
        row[i] /= scale
    quantize_signed(row, ONE, fmt[0], fmt[1])


@compiled(f"float32({ROW}, {ROW}, {ROW}, {ROW}, {FORMAT})")
def readout_error(readout, target, mask, error, fmt):
    """`local_readout.readout_error` for quantized errors: fills ``error`` and returns the fit."""
    fit = ZERO
    for i in range(error.size):
        difference = readout[i] * mask[i] - target[i]
        fit += difference * difference
        error[i] = difference * mask[i]
    quantize_scaled(error, _shift(_largest(error)), fmt)
    return np.float32(0.5) * fit


@compiled(f"float32(int64, int64, {ROW})")
def largest(begin, end, row):
    """max|x| of a part of ``row``."""
    return _largest(row[begin:end])


@compiled("float32(float32)")
def shift(maximum):
    """`quantization.shift`."""
    return _shift(maximum)


@compiled(f"float32(int64, int64, {ROW}, {ROW}, float32, float32, float32, {FORMAT})")
def through_sigmoid(begin, end, error, activation, scale, l1_term, l2_term, fmt):
    """In place of the error at z', divided by the shift ``scale``, that at U before it is quantized; its max|x|."""
    most = ZERO
    for start in range(begin, end, BLOCK):
        stop = min(end, start + BLOCK)
        e, z = error[start:stop], activation[start:stop]
        quantize_scaled(e, scale, fmt)
        for i in range(e.size):
            x = e[i] + l1_term
            e[i] = x * (ONE - z[i]) * z[i] + l2_term
        size = _largest(e)
        most = size if size > most or size != size else most
    return most


@compiled(f"void(int64, int64, {ROW}, float32, {FORMAT})")
def quantize_part(begin, end, row, scale, fmt):
    """`quantize_error` of a part of ``row`` in place, with the shift ``scale`` of the whole."""
    for start in range(begin, end, BLOCK):
        quantize_scaled(row[start : min(end, start + BLOCK)], scale, fmt)
