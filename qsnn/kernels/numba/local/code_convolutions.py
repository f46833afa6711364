"""The convolutions of local learning in 16-bit products, where a bound from codes and weights says that they hold the sums.

Each gives None where they would not, or are slower: then the definition or the float kernel has to do it.
"""

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.backends import nnpack
from torch.nn import functional
from torch.utils.weak import WeakIdKeyDictionary

from qsnn.dynamics.local_drive import WeightGrid, drive_unit, weight_codes
from qsnn.dynamics.local_gradient import WeightGradient, convolution_gradient, total_of, trace_codes, trace_unit
from qsnn.dynamics.local_readout import MembraneError
from qsnn.dynamics.traces import TraceParameters
from qsnn.kernels.numba.local import convolve, correlate, errors, winner_pairs
from qsnn.kernels.numba.local.dot_tiles import AVAILABLE
from qsnn.kernels.numba.runtime import buffers
from qsnn.kernels.numba.runtime.arrays import array, maps
from qsnn.kernels.numba.runtime.openmp import share
from qsnn.quantization import symmetric, unsigned
from qsnn.quantization.reductions import ALONE, Reductions

SMALLEST = 2**20  # products for which kernels are compiled
LARGEST_FLOAT = 2**24  # float32 holds all integers up to here
DIGIT = 2**8
UNITS = (1.0, 1.0)  # full scale and levels of codes as they are
_known_weights: Any = WeakIdKeyDictionary()


def box_sums(maps: Tensor, size: tuple[int, ...], padding: int) -> Tensor:
    """(C, k, k) in double: the sum over batch and over the places (of ``size``) of all that a weight's input shows there."""
    total = maps.sum(0, dtype=torch.float64).unsqueeze(1)
    return functional.conv2d(total, total.new_ones(1, 1, *size), padding=padding).squeeze(1)


def _trace_grid(parameters: TraceParameters) -> tuple[float, float]:
    """Full scale and levels of P; its codes are P over the one times the other."""
    fmt = unsigned(parameters.membrane_trace_bits)
    assert fmt is not None
    return parameters.membrane_full_scale, float(fmt.levels)


def largest_code(values: Tensor, grid: tuple[float, float]) -> int:
    """The largest size of a code, and what no kernel takes where there is one that is not finite."""
    flat = maps(values).reshape(-1)
    sizes = share(errors.largest, flat.size, flat.size, flat)
    largest = max(sizes) if all(map(math.isfinite, sizes)) else math.inf
    return convolve.LARGEST_SUM if largest == math.inf else round(largest / grid[0] * grid[1])


def _packed(weight: Tensor, grid: tuple[float, float]) -> convolve.PackedWeights:
    """`convolve.pack_weights`, once for a tensor that stays as it is."""
    known = _known_weights.get(weight)
    if known is None or known[0] != weight._version:
        known = (weight._version, convolve.pack_weights(weight, *grid))
        _known_weights[weight] = known
    packed: convolve.PackedWeights = known[1]
    return packed


def _sides(codes: Tensor, weight: Tensor, padding: int) -> tuple[int, ...]:
    """H' and W' of a convolution."""
    return tuple(n + 2 * padding - k + 1 for n, k in zip(codes.shape[2:], weight.shape[2:], strict=True))


def _fits(weight: Tensor, outputs: int) -> bool:
    """Whether 16-bit products are worth compiling kernels for them: square kernels, and so many ``outputs``."""
    return AVAILABLE and weight.shape[2] == weight.shape[3] and outputs * weight[0].numel() >= SMALLEST


def drive(
    trace: Tensor, weight: Tensor, bias: Tensor, padding: int, grid: WeightGrid, parameters: TraceParameters
) -> Tensor | None:
    """`local_drive.drive`."""
    fmt, sides = symmetric(grid.bits), _sides(trace, weight, padding)
    if fmt is None or parameters.membrane_trace_bits is None:
        return None
    if not _fits(weight, len(trace) * len(weight) * math.prod(sides)):
        return _drive_in_floats(trace, weight, bias, padding, grid, parameters)
    packed, code = _packed(weight, (grid.factor, float(fmt.levels))), _trace_grid(parameters)
    limit = convolve.planes_at_a_time(packed, largest_code(trace, code))
    if limit == 0:
        return _drive_in_floats(trace, weight, bias, padding, grid, parameters)
    out = buffers.empty(len(trace), *sides, len(weight)).permute(0, 3, 1, 2)
    convolve.convolve(trace, code, padding, packed, limit, drive_unit(grid, parameters), array(bias.double()), out)
    return out


def _drive_in_floats(
    trace: Tensor, weight: Tensor, bias: Tensor, padding: int, grid: WeightGrid, parameters: TraceParameters
) -> Tensor | None:
    """`local_drive.drive` in float32, where that holds the sums; NNPACK would go by way of transforms."""
    codes, weights = trace_codes(trace, parameters), weight_codes(weight, grid)
    bound = largest_code(codes, UNITS) * weights.abs().sum((1, 2, 3), dtype=torch.float64).amax()
    if not bound <= LARGEST_FLOAT:
        return None
    with nnpack.flags(enabled=False):
        sums = functional.conv2d(codes, weights, padding=padding)
    return convolve.scale_sums(sums, drive_unit(grid, parameters), array(bias.double()))


def convolve_codes(codes: Tensor, weight: Tensor, padding: int) -> Tensor | None:
    """`code_products.convolve_codes`."""
    sides = _sides(codes, weight, padding)
    if not _fits(weight, len(codes) * len(weight) * math.prod(sides)):
        return None
    packed, x = convolve.pack_weights(weight.float(), *UNITS), codes.float()
    limit = convolve.planes_at_a_time(packed, largest_code(x, UNITS))
    if limit == 0:
        return None
    out = torch.empty(len(codes), len(weight), *sides, dtype=torch.int64, memory_format=torch.channels_last)
    convolve.convolve(x, UNITS, padding, packed, limit, 1.0, np.zeros(len(weight)), out)
    return out


def correlate_codes(errors: Tensor, codes: Tensor, size: int, padding: int) -> Tensor | None:
    """`code_products.correlate_codes`."""
    if not AVAILABLE or errors.numel() * codes.shape[1] * size**2 < SMALLEST:
        return None
    e, x = errors.float(), codes.float()
    facts = (x, largest_code(x, UNITS), UNITS, size, padding)
    products = correlate.sum_products(e, 1.0, largest_code(e, UNITS), *facts)
    if products is None:
        return None
    out = torch.empty(errors.shape[1], codes.shape[1], size, size, dtype=torch.int64)
    return correlate.gradient(products, 1.0, out)


def weight_gradient(
    error: MembraneError,
    trace: Tensor,
    weight: Tensor,
    padding: int,
    parameters: TraceParameters,
    over: Reductions = ALONE,
) -> WeightGradient | None:
    """`local_gradient.weight_gradient`."""
    fmt, kernel = symmetric(error.bits), weight.shape[-1]
    if fmt is None or parameters.membrane_trace_bits is None:
        return None
    others = math.prod(error.size) - error.at_winners[0, 0].numel()
    if not _fits(weight, error.at_winners.numel()):
        return None if others > 0 else _gradient_in_floats(error, trace, weight, padding, parameters, over)
    if others > 0 and not winner_pairs.is_worth_it(kernel, weight.shape[1]):
        return None
    code, unit = _trace_grid(parameters), trace_unit(parameters) / fmt.levels
    facts = (trace, largest_code(trace, code), code, kernel, padding)
    if others == 0:
        dense = correlate.sum_products(error.at_winners, fmt.levels, fmt.high, *facts)
        if dense is None:
            return _gradient_in_floats(error, trace, weight, padding, parameters, over)
        fill, biases = functools.partial(correlate.gradient, dense), dense.biases
    else:
        pairs = winner_pairs.sum_products(error, fmt.levels, *facts)
        if pairs is None:
            return None
        rest = None
        if error.elsewhere != 0:
            rest = error.elsewhere * fmt.levels * box_sums(trace_codes(trace, parameters), error.size, padding)
        fill, biases = functools.partial(winner_pairs.gradient, pairs, rest), pairs.biases
    bias = torch.from_numpy(biases.sum(0) / fmt.levels + error.elsewhere.item() * len(trace) * others)
    if over is not ALONE:
        sums = fill(1.0, torch.empty(weight.shape, dtype=torch.int64)).double()
        return _of_all_parts(sums / fmt.levels, bias, parameters, over)
    return WeightGradient(fill(unit, torch.empty(weight.shape)), bias.float())


def _of_all_parts(sums: Tensor, bias: Tensor, parameters: TraceParameters, over: Reductions) -> WeightGradient:
    """Of the sums of a part, in double, the gradient over all parts."""
    whole = total_of(WeightGradient(sums, bias), over)
    return WeightGradient((whole.weight * trace_unit(parameters)).float(), whole.bias.float())


def _gradient_in_floats(
    error: MembraneError, trace: Tensor, weight: Tensor, padding: int, parameters: TraceParameters, over: Reductions
) -> WeightGradient | None:
    """`local_gradient.weight_gradient` without pooling in float32: of so few samples at a time that it holds the sums, and of
    the codes' upper and lower digits where it would not hold those of one."""
    fmt, codes = symmetric(error.bits), trace_codes(trace, parameters)
    assert fmt is not None
    bound, errors = fmt.high * math.prod(error.size), error.at_winners * fmt.levels
    parts = [(codes, 1)]
    if largest_code(codes, UNITS) * bound > LARGEST_FLOAT:
        upper = (codes / DIGIT).floor()
        parts = [(codes - DIGIT * upper, 1), (upper, DIGIT)]
    samples = LARGEST_FLOAT // (bound * max(1, *(largest_code(part, UNITS) for part, _ in parts)))
    if samples == 0:
        return None
    summed = torch.zeros(weight.shape, dtype=torch.float64)
    with nnpack.flags(enabled=False):
        for part, unit in parts:
            for some, places in zip(errors.split(samples), part.split(samples), strict=True):
                summed += unit * convolution_gradient(some, places, weight, padding).weight.double()
    bias = errors.sum((0, 2, 3), dtype=torch.float64) / fmt.levels
    return _of_all_parts(summed / fmt.levels, bias, parameters, over)
