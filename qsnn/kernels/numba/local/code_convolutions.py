"""The convolutions of local learning in 16-bit products, where a bound from codes and weights says that they hold the sums.

Each gives None where they would not, or are slower: then the definition or the float kernel has to do it.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.weak import WeakIdKeyDictionary

from qsnn.dynamics.local_drive import WeightGrid, drive_unit
from qsnn.dynamics.local_gradient import WeightGradient, trace_codes, trace_unit
from qsnn.dynamics.local_readout import MembraneError
from qsnn.dynamics.traces import TraceParameters
from qsnn.kernels.numba.local import convolve, correlate, errors, winner_pairs
from qsnn.kernels.numba.local.dot_tiles import AVAILABLE
from qsnn.kernels.numba.runtime import buffers
from qsnn.kernels.numba.runtime.arrays import array, maps
from qsnn.kernels.numba.runtime.openmp import share
from qsnn.quantization import symmetric, unsigned

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


def _room(codes: Tensor, weight: Tensor, padding: int) -> Tensor:
    """(B, O, H', W') for the results, channels last."""
    rows, columns = (n + 2 * padding - k + 1 for n, k in zip(codes.shape[2:], weight.shape[2:], strict=True))
    return buffers.empty(len(codes), rows, columns, len(weight)).permute(0, 3, 1, 2)


def drive(
    trace: Tensor, weight: Tensor, bias: Tensor, padding: int, grid: WeightGrid, parameters: TraceParameters
) -> Tensor | None:
    """`local_drive.drive`."""
    fmt = symmetric(grid.bits)
    if fmt is None or parameters.membrane_trace_bits is None or not AVAILABLE:
        return None
    packed, code = _packed(weight, (grid.factor, float(fmt.levels))), _trace_grid(parameters)
    limit = convolve.planes_at_a_time(packed, largest_code(trace, code))
    if limit == 0:
        return None
    out = _room(trace, weight, padding)
    convolve.convolve(trace, code, padding, packed, limit, drive_unit(grid, parameters), array(bias.double()), out)
    return out


def weight_gradient(
    error: MembraneError, trace: Tensor, weight: Tensor, padding: int, parameters: TraceParameters
) -> WeightGradient | None:
    """`local_gradient.weight_gradient`."""
    fmt, kernel = symmetric(error.bits), weight.shape[-1]
    if fmt is None or parameters.membrane_trace_bits is None or not AVAILABLE:
        return None
    others = math.prod(error.size) - error.at_winners[0, 0].numel()
    if others > 0 and not winner_pairs.is_worth_it(kernel, weight.shape[1]):
        return None
    code, unit = _trace_grid(parameters), trace_unit(parameters) / fmt.levels
    facts = (trace, largest_code(trace, code), code, kernel, padding)
    if others == 0:
        dense = correlate.sum_products(error.at_winners, fmt.levels, fmt.high, *facts)
        if dense is None:
            return None
        summed, biases = correlate.gradient(dense, unit, tuple(weight.shape)), dense.biases
    else:
        pairs = winner_pairs.sum_products(error, fmt.levels, *facts)
        if pairs is None:
            return None
        rest = None
        if error.elsewhere != 0:
            rest = error.elsewhere * fmt.levels * box_sums(trace_codes(trace, parameters), error.size, padding)
        summed, biases = winner_pairs.gradient(pairs, rest, unit, tuple(weight.shape)), pairs.biases
    bias = biases.sum(0) / fmt.levels + error.elsewhere.item() * len(trace) * others
    return WeightGradient(summed, torch.from_numpy(bias).float())
