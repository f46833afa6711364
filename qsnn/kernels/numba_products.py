"""The products of a layer by sums of selected rows where the numbers allow it, by torch's dense product elsewhere.

"Allow" is measured on the tensors themselves: the one must be binary and sparse, the other on a grid whose codes fit
8 or 16 bits. Then every sum is one of integers, exact in any order. The rest is the dense product of `eager`.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from torch import Tensor

from qsnn.kernels import eager
from qsnn.kernels import numba_rows as rows
from qsnn.kernels.numba_arrays import array, bits
from qsnn.kernels.numba_memory import known
from qsnn.kernels.numba_recurrences import largest_size
from qsnn.kernels.numba_threads import single_threaded, split

DENSEST = 0.5  # above this share of ones the dense product is taken
VECTOR = 64  # a multiple of how many integers a CPU adds at once
SMALL_PRODUCT = 2**26  # multiplications of integers that one thread does in some 100 us
BLOCK = 1024  # rows of errors that stay in the cache while every input gathers its own


class Spikes(NamedTuple):
    """A binary matrix as lists: the ones of row r are in columns ``indices[starts[r]:ends[r]]``."""

    starts: np.ndarray
    ends: np.ndarray
    indices: np.ndarray


class Codes(NamedTuple):
    """A matrix on a grid: ``step * integers``, none of which exceeds ``high``; the integers are `padded`."""

    integers: np.ndarray
    step: float
    high: int


def padded(rows: int, columns: int, kind: Any) -> np.ndarray:
    """Zeros for a matrix of integers: with a row and some columns more, as `numba_rows` wants them."""
    return np.zeros((rows + 1, -(-columns // VECTOR) * VECTOR), kind)


def _spike_lists(spikes: Tensor) -> Spikes | bool:
    """The ones of (..., I) spikes row by row; False if it is not binary or too dense to gain by it."""
    matrix = bits(spikes)
    counts = np.empty(len(matrix), np.int64)
    if any(split(rows.count_ones, len(matrix), matrix.size, matrix, counts)):
        return False
    ends = np.cumsum(counts + 1) - 1  # a slot to spare after each list
    if ends[-1] > DENSEST * matrix.size:
        return False
    lists = Spikes(ends - counts, ends, np.empty(ends[-1] + 1, np.int32))
    split(rows.list_ones, len(matrix), 3 * matrix.size, matrix, lists.starts, lists.indices)
    return lists


def _column_lists(spikes: Tensor) -> list[Spikes] | bool:
    """The same column by column, for each block of rows; False as above."""
    lists = known(spikes, "rows", _spike_lists)
    if not lists:
        return False
    width, blocks = spikes.shape[-1], []
    for first in range(0, len(lists.starts), BLOCK):
        last = min(first + BLOCK, len(lists.starts))
        count = lists.ends[last - 1] - lists.starts[first]
        columns = Spikes(np.empty(width, np.int64), np.empty(width, np.int64), np.empty(count, np.int32))
        rows.transpose_lists(first, last, *lists, *columns)
        blocks.append(columns)
    return blocks


def _integer_codes(values: Tensor) -> Codes | bool:
    """``values`` (..., N) as integers of 8 or 16 bits times a power of two; False if they do not fit."""
    matrix = array(values).reshape(-1, values.shape[-1])
    size = max(split(largest_size, matrix.size, matrix.size, matrix.reshape(-1)))
    maximum = float(np.int32(size).view(np.float32))
    if not maximum < 2.0**100 or 0 < maximum < 2.0**-100:
        return False
    mantissa, exponent = math.frexp(maximum)
    for kind, width in ((np.int8, 7), (np.int16, 15)):
        levels = 2.0 ** (width - exponent - (mantissa * 2**width > 2**width - 1))
        integers = padded(*matrix.shape, kind)
        if all(split(rows.to_integers, len(matrix), matrix.size, matrix, levels, integers)):
            return Codes(integers, 1 / levels, max(1, int(maximum * levels)))
    return False


def _sum_rows(codes: Codes, lists: Spikes, add: bool, out: np.ndarray) -> None:
    """`numba_rows.sum_rows` in the smallest integers that hold the sum of a fair number of rows."""
    kind: Any = np.int32
    if codes.integers.dtype == np.int8:
        kind = np.int8 if 16 * codes.high <= 127 else np.int16
    # What an int32 is summed to must go into a float32 without loss.
    limit, total = min(np.iinfo(kind).max, 2**24) // codes.high, np.empty(codes.integers.shape[1], kind)
    work = len(lists.indices) * out.shape[1] // 10 + out.size
    split(rows.sum_rows, len(out), work, codes.integers, *lists, limit, total, codes.step, add, out)


def input_current(spikes: Tensor, weight: Tensor) -> Tensor:
    """`eager.input_current`: for each row of spikes the sum of the weight rows of its ones."""
    lists = known(spikes, "rows", _spike_lists)
    codes = lists and known(weight, "codes", _integer_codes)
    if not codes:
        return eager.input_current(spikes, weight)
    out = torch.empty(*spikes.shape[:-1], weight.shape[1])
    _sum_rows(codes, lists, False, array(out).reshape(-1, weight.shape[1]))
    return out


def weight_gradient(spikes: Tensor, error: Tensor) -> Tensor:
    """`eager.weight_gradient`: for each input the sum of the error rows of its spikes."""
    blocks = known(spikes, "columns", _column_lists)
    codes = blocks and known(error, "codes", _integer_codes)
    if not codes:
        return eager.weight_gradient(spikes, error)
    out = torch.empty(spikes.shape[-1], error.shape[-1])
    for number, columns in enumerate(blocks):
        _sum_rows(codes, columns, number > 0, array(out))
    return out


@functools.cache
def has_integer_product() -> bool:
    """Whether torch multiplies matrices of 8-bit integers exactly: CPUs without VNNI saturate the sums of two products."""
    features = get_host_cpu_features()
    if not torch.backends.mkldnn.is_available() or not (features.get("avx512vnni") or features.get("avxvnni")):
        return False
    extreme = torch.full((64, 256), 127, dtype=torch.int8)
    try:
        products = [torch._int_mm(extreme, sign * extreme.T) for sign in (1, -1)]
    except (AttributeError, RuntimeError, NotImplementedError):  # it is no public interface
        return False
    return all(bool((product == sign * 256 * 127**2).all()) for product, sign in zip(products, (1, -1), strict=True))


def input_error(error: Tensor, weight: Tensor) -> Tensor:
    """`eager.input_error`, which is dense, in integers where both have codes of 8 bits."""
    if not has_integer_product() or error.shape[-1] * 127**2 > 2**24:
        return eager.input_error(error, weight)
    codes = known(error, "codes", _integer_codes)
    columns = codes and known(weight, "codes", _integer_codes)
    if not columns or {codes.integers.dtype, columns.integers.dtype} != {np.dtype(np.int8)}:
        return eager.input_error(error, weight)
    # Without the rows of padding; the columns of padding add zeros.
    factors = [torch.from_numpy(matrix.integers[:-1]) for matrix in (codes, columns)]
    with single_threaded(error.numel() * weight.shape[0] < SMALL_PRODUCT):
        product = torch._int_mm(factors[0], factors[1].T)
    split(rows.scale_in_place, product.numel(), product.numel(), array(product).reshape(-1), codes.step * columns.step)
    return product.view(torch.float32).reshape(*error.shape[:-1], weight.shape[0])
