"""Sums of products of codes for local learning in integers: 16-bit products where they fit and pay, else floats that are exact.

The kernels of `qsnn.kernels.numba.local` take maps of floats, which codes are turned into here.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.backends import nnpack
from torch.nn import functional

from qsnn.dynamics.integer_local.fixed_point import highest_code, point
from qsnn.dynamics.integer_local.widths import convolution_bits
from qsnn.dynamics.local_gradient import WeightGradient
from qsnn.dynamics.local_readout import MembraneError
from qsnn.dynamics.traces import TraceParameters
from qsnn.kernels.integer_local_backend import INTEGER_LOCAL_EAGER
from qsnn.kernels.numba.local import convolve, correlate, winner_pairs
from qsnn.kernels.numba.local.code_convolutions import SMALLEST, UNITS, box_sums
from qsnn.kernels.numba.local.dot_tiles import AVAILABLE
from qsnn.kernels.numba.local.winners import winner_products

FLOAT_BITS = 25
"""Signed integers that float32 holds."""


def _sides(codes: Tensor, size: int, padding: int) -> tuple[int, ...]:
    """H' and W' of a convolution."""
    return tuple(n + 2 * padding - size + 1 for n in codes.shape[2:])


def drive(codes: Tensor, weight: Tensor, padding: int, trace_bits: int) -> Tensor:
    """`drive` as int32 or int64, or as float32 where the actual weights bound its sums by 2^24."""
    sides = _sides(codes, weight.shape[-1], padding)
    products = len(codes) * weight.numel() * math.prod(sides)
    if not AVAILABLE or products < SMALLEST:
        return _drive_in_floats(codes, weight, padding, trace_bits)
    packed = convolve.pack_weights(weight.to(torch.float32), *UNITS)
    limit, planes = convolve.planes_at_a_time(packed, 2**trace_bits - 1), (weight.shape[1] + 1) // 2
    if limit == 0:
        return _drive_in_floats(codes, weight, padding, trace_bits)
    shape, kind = (len(codes), len(weight), *sides), torch.int32 if limit >= planes else torch.int64
    out = torch.empty(shape, dtype=kind, memory_format=torch.channels_last)
    convolve.convolve(codes.to(torch.float32), UNITS, padding, packed, limit, 1.0, np.zeros(len(weight)), out)
    return out


def _drive_in_floats(codes: Tensor, weight: Tensor, padding: int, trace_bits: int) -> Tensor:
    if convolution_bits(weight, trace_bits) > FLOAT_BITS:
        return INTEGER_LOCAL_EAGER.drive(codes, weight, padding, trace_bits)
    with nnpack.flags(enabled=False):  # it would go by way of transforms
        return functional.conv2d(codes.to(torch.float32), weight.to(torch.float32), padding=padding)


def weight_gradient(error: MembraneError, codes: Tensor, size: int, padding: int, trace_bits: int) -> WeightGradient:
    """`weight_gradient`, behind a pooling from the winners alone."""
    if codes.dtype != torch.int16 or error.bits is None or error.bits == 1 or not len(codes):
        return INTEGER_LOCAL_EAGER.weight_gradient(error, codes, size, padding, trace_bits)
    winners = error.at_winners[0, 0].numel()
    products = error.at_winners.numel() * codes.shape[1] * size**2
    whole = AVAILABLE and products >= SMALLEST
    if winners == math.prod(error.size):
        found = _dense(error, codes, size, padding, trace_bits) if whole else None
        return found or INTEGER_LOCAL_EAGER.weight_gradient(error, codes, size, padding, trace_bits)
    sums = _by_winners(error, codes.to(torch.float32), size, padding, trace_bits, whole)
    elsewhere, others = int(error.elsewhere), math.prod(error.size) - winners
    if elsewhere != 0:
        sums.weight.add_((elsewhere * box_sums(codes, error.size, padding)).to(torch.int64))
    return sums._replace(bias=sums.bias + elsewhere * len(codes) * others)


def _dense(error: MembraneError, codes: Tensor, size: int, padding: int, trace_bits: int) -> WeightGradient | None:
    """Without a pooling; None where 32 bits might not hold the sums of two samples."""
    assert error.bits is not None
    sizes, x = (highest_code(error.bits), 2**trace_bits - 1), codes.to(torch.float32)
    products = correlate.sum_products(
        error.at_winners.to(torch.float32), 1.0, sizes[0], x, sizes[1], UNITS, size, padding
    )
    if products is None:
        return None
    out = torch.empty(error.at_winners.shape[1], codes.shape[1], size, size, dtype=torch.int64)
    return WeightGradient(correlate.gradient(products, 1.0, out), torch.from_numpy(products.biases.sum(0)))


def _by_winners(
    error: MembraneError, x: Tensor, size: int, padding: int, trace_bits: int, whole: bool
) -> WeightGradient:
    """What the errors at the winners, counted from those elsewhere, add to the weights; and their sums for the biases."""
    assert error.bits is not None
    unit = 2.0 ** -point(error.bits)
    floats = error._replace(at_winners=error.at_winners * unit, elsewhere=error.elsewhere * unit)
    if whole and winner_pairs.is_worth_it(size, x.shape[1]):
        levels = 2 ** point(error.bits)
        pairs = winner_pairs.sum_products(floats, levels, x, 2**trace_bits - 1, UNITS, size, padding)
        if pairs is not None:
            runs = pairs.totals.sum(0, dtype=np.int64)[:, : size * pairs.run].reshape(-1, size, pairs.run)
            sums = runs[:, :, : size * x.shape[1]].reshape(-1, size, size, x.shape[1]).transpose(0, 3, 1, 2)
            return WeightGradient(torch.from_numpy(sums), torch.from_numpy(pairs.biases.sum(0)))
    none = torch.empty(0)
    grid = TraceParameters(none, none, none, none, 2.0**trace_bits, 1.0, trace_bits, None)  # codes stand for themselves
    found = winner_products(floats, x, size, padding, grid)
    return WeightGradient(*((part * 2 ** point(error.bits)).to(torch.int64) for part in found))
