"""The products of a layer by sums of selected rows where the numbers allow it, by torch's dense product elsewhere.

"Allow" is measured on the tensors themselves: the one must be binary and sparse, the other on a grid whose codes fit
8 or 16 bits. Then every sum is one of integers, exact in any order. The rest is the dense product of `eager`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from torch import Tensor

from qsnn.kernels import eager
from qsnn.kernels.backend import WeightGradient
from qsnn.kernels.numba.products import rows
from qsnn.kernels.numba.products.blocks import error_products, grouped, has_dot_products
from qsnn.kernels.numba.products.vectors import WIDTH
from qsnn.kernels.numba.rounding.calls import grid, largest
from qsnn.kernels.numba.rounding.quantizers import quantize_scaled
from qsnn.kernels.numba.runtime.arrays import array, bits, octets
from qsnn.kernels.numba.runtime.buffers import block, empty
from qsnn.kernels.numba.runtime.memory import known, remember
from qsnn.kernels.numba.runtime.threads import single_threaded, split
from qsnn.quantization.reductions import ALONE, Reductions

DENSEST = 0.5  # above this share of ones the dense product is taken
DENSEST_ERROR = 0.6  # and above this share of errors that are not 0
# What an int32 is summed to must go into a float32 without loss.
LARGEST_SUM: dict[Any, int] = {np.int8: 2**7 - 1, np.int16: 2**15 - 1, np.int32: 2**24}
MULTIPLES = 2**15 - 1  # what a sum of errors times weights must not exceed
CACHE_LINE = 64  # bytes
ONE_BITS = 0x3F800000  # of 1.0
SMALL_PRODUCT = 2**24  # multiplications of floats that one thread does in some 200 us
MULTIPLICATIONS = 40  # of integers, in a tenth of a nanosecond
BLOCK = 1024  # rows of errors that stay in the cache while every input gathers its own


class Spikes(NamedTuple):
    """A binary matrix as lists: the ones of row r are in columns ``indices[starts[r]:ends[r]]``."""

    starts: np.ndarray
    ends: np.ndarray
    indices: np.ndarray

    def num_ones(self) -> int:
        """How many ones there are; between the lists there may be room."""
        return int(self.ends.sum() - self.starts.sum())


class Codes(NamedTuple):
    """A matrix on a grid: ``step * integers``, none of which exceeds ``high``; the integers are `padded`."""

    integers: np.ndarray
    step: float
    high: int


def padded(rows: int, columns: int, kind: Any) -> np.ndarray:
    """Memory for a matrix of integers: with columns of zeros to whole vectors, which lie on whole cache lines."""
    shape = rows, -(-columns // WIDTH) * WIDTH
    size = rows * shape[1] * np.dtype(kind).itemsize
    memory = block((size + CACHE_LINE) // 4 + 1).view(np.int8)
    first = -memory.ctypes.data % CACHE_LINE
    matrix = memory[first : first + size].view(kind).reshape(shape)
    matrix[:, columns:] = 0
    return matrix


def spike_lists(spikes: Tensor) -> Spikes | bool:
    """The ones of (..., I) spikes row by row; False if it is not binary or too dense to gain by it."""
    matrix, one = (bits(spikes), ONE_BITS) if spikes.dtype == torch.float32 else (octets(spikes), 1)
    # Room for all, of which the system gives only what is written to.
    lists = Spikes(np.empty(len(matrix), np.int64), np.empty(len(matrix), np.int64), np.empty(matrix.size, np.int32))
    kernel = rows.list_rows[matrix.dtype]
    binary = all(split(kernel, len(matrix), 2 * matrix.size, matrix, one, 0, *lists))
    return lists if binary and lists.num_ones() <= DENSEST * matrix.size else False


def column_lists(spikes: Tensor) -> Spikes | bool:
    """The same column by column, for each block of rows: ``starts`` and ``ends`` (blocks, I); False as above."""
    lists = known(spikes, "rows", spike_lists)
    if not lists:
        return False
    shape = -(-len(lists.starts) // BLOCK), spikes.shape[-1]
    columns = Spikes(np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty_like(lists.indices))
    split(rows.transpose_blocks, shape[0], 10 * lists.num_ones(), BLOCK, *lists, *columns)
    return columns


def _integer_codes(values: Tensor) -> Codes | None:
    """``values`` (..., N) as integers of 8 or 16 bits times a power of two; None if they do not fit."""
    matrix = array(values).reshape(-1, values.shape[-1])
    maximum = float(np.int32(largest(values)).view(np.float32))
    if not maximum < 2.0**100 or 0 < maximum < 2.0**-100:
        return None
    mantissa, exponent = math.frexp(maximum)
    for kind, width in ((np.int8, 7), (np.int16, 15)):
        levels = 2.0 ** (width - exponent - (mantissa * 2**width > 2**width - 1))
        integers = padded(*matrix.shape, kind)
        if all(split(rows.to_integers[integers.dtype], len(matrix), matrix.size, matrix, levels, integers)):
            return Codes(integers, 1 / levels, max(1, int(maximum * levels)))
    return None


def quantized_codes(x: Tensor, factors: tuple[float, float], width: int) -> Codes | None:
    """``quantize(x * factors / levels)`` to symmetric(width) as integers; None if there is NaN."""
    rows_of_x, fmt = array(x).reshape(-1, x.shape[-1] if x.dim() else 1), grid(width)
    integers = padded(*rows_of_x.shape, np.int8 if width <= 8 else np.int16)
    kernel = quantize_scaled[integers.dtype]
    free_of_nan = all(split(kernel, len(rows_of_x), 2 * x.numel(), rows_of_x, factors, fmt, integers))
    return Codes(integers, 1 / fmt[0], int(fmt[1])) if free_of_nan else None


def weight_codes(weight: Tensor, weight_bits: int | None, scale: float) -> Codes | None:
    """The codes of ``w_q``, kept from one epoch's update for the next epoch; None if there are none.

    In full precision these are the codes of the stored weights, if they lie on a grid.
    """
    if math.frexp(scale)[0] != 0.5:  # not a power of two
        return None
    if weight_bits is None:
        codes = known(weight, "codes", _integer_codes)
    else:
        width = weight_bits
        codes = known(weight, f"codes of {width} bits", lambda w: quantized_codes(w, (grid(width)[0], 1.0), width))
    return None if codes is None else codes._replace(step=codes.step / scale)


def sum_kind(codes: Codes) -> Any:
    """The smallest integers that hold the sum of a fair number of rows."""
    if codes.integers.dtype != np.int8:
        return np.int32
    return np.int8 if 16 * codes.high <= LARGEST_SUM[np.int8] else np.int16


def _sum_rows(codes: Codes, lists: Spikes, out: np.ndarray) -> int:
    """`rows.sum_rows`."""
    kind = sum_kind(codes)
    work = lists.num_ones() * out.shape[1] // 10 + out.size
    kernel = rows.sum_rows[codes.integers.dtype, np.dtype(kind)]
    limit = LARGEST_SUM[kind] // codes.high
    return max(split(kernel, len(out), work, codes.integers, *lists, limit, np.empty(0, kind), codes.step, out))


def input_current(spikes: Tensor, weight: Tensor, weight_bits: int | None, scale: float) -> Tensor:
    """`eager.input_current`: for each row of spikes the sum of the weight rows of its ones."""
    if spikes.shape[-1] != weight.shape[0]:
        return eager.input_current(spikes, weight, weight_bits, scale)  # which says what is wrong
    lists = known(spikes, "rows", spike_lists)
    codes = weight_codes(weight, weight_bits, scale) if lists else None
    if codes is None or (weight_bits is not None and not _exact(lists, weight.shape[0], codes.high)):
        return eager.input_current(spikes, weight, weight_bits, scale)
    out = empty(*spikes.shape[:-1], weight.shape[1])
    one_block = Spikes(lists.starts[None], lists.ends[None], lists.indices)
    _sum_rows(codes, one_block, array(out).reshape(-1, weight.shape[1]))
    return out


def _exact(lists: Spikes, most_rows: int, high: int) -> bool:
    """Whether a float holds the sums of so many rows of integers up to ``high`` as the longest list has; ``most_rows``: as many
    as it can have at most."""
    if most_rows * high <= eager.EXACT_SUM:
        return True
    counts = np.atleast_2d(lists.ends - lists.starts).sum(0)
    return int(counts.max()) * high <= eager.EXACT_SUM


def _of_all_parts(gradient: Callable[..., Tensor], definition: WeightGradient) -> WeightGradient:
    """A gradient that, of all parts, is summed in double: from a part's own floats where these hold its sums, else by the
    definition."""

    @functools.wraps(gradient)
    def chosen(spikes: Tensor, error: Tensor, error_bits: int | None = None, over: Reductions = ALONE) -> Tensor:
        if over is ALONE:
            return gradient(spikes, error, error_bits)
        rows = math.prod(error.shape[:-1])
        if error_bits is None or rows * grid(error_bits)[1] > eager.EXACT_SUM:
            return definition(spikes, error, error_bits, over)
        return over.total(gradient(spikes, error, error_bits).double()).to(error.dtype)

    return chosen


def _weight_gradient(spikes: Tensor, error: Tensor, error_bits: int | None = None) -> Tensor:
    """`eager.weight_gradient`: for each input the sum of the error rows of its spikes."""
    if spikes.shape[:-1] != error.shape[:-1]:
        return eager.weight_gradient(spikes, error, error_bits)  # which says what is wrong
    lists = known(spikes, "columns", column_lists)
    codes = known(error, "codes", _integer_codes) if lists else None
    if codes is None or (error_bits is not None and not _exact(lists, len(codes.integers), codes.high)):
        return eager.weight_gradient(spikes, error, error_bits)
    out = empty(spikes.shape[-1], error.shape[-1])
    remember(out, "largest", _sum_rows(codes, lists, array(out)))
    return out


def _recurrent_gradient(spikes: Tensor, error: Tensor, error_bits: int | None = None) -> Tensor:
    """`eager.recurrent_gradient`: the same of the spikes as they are and errors that have moved one step towards the beginning,
    with nothing to meet the last step's spikes."""
    codes = known(error, "codes", _integer_codes) if spikes.shape == error.shape else None
    if codes is None:
        return eager.recurrent_gradient(spikes, error, error_bits)
    moved, batch = empty(*error.shape), math.prod(spikes.shape[1:-1])
    integers = np.zeros_like(codes.integers)
    integers[:-batch] = codes.integers[batch:]
    moved[:-1], moved[-1:] = error[1:], 0
    remember(moved, "codes", codes._replace(integers=integers))
    return _weight_gradient(spikes, moved, error_bits)


weight_gradient = _of_all_parts(_weight_gradient, eager.weight_gradient)
recurrent_gradient = _of_all_parts(_recurrent_gradient, eager.recurrent_gradient)


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


def _dense_error(codes: Codes, weights: Codes) -> Tensor:
    """The product by torch's dense one of 8-bit integers, scaled."""
    errors, columns = (torch.from_numpy(matrix.integers) for matrix in (codes, weights))
    product = torch.empty(len(errors), len(columns), dtype=torch.int32)

    def multiply(start: int, stop: int) -> None:
        torch.set_num_threads(1)  # each thread has a setting of its own
        torch._int_mm(errors[start:stop], columns.T, out=product[start:stop])

    # By our own threads: torch's would spin for milliseconds afterwards, on the cores that the next kernels need.
    threads = torch.get_num_threads()
    with single_threaded(True):
        split(multiply, len(errors), errors.numel() * len(columns) // MULTIPLICATIONS, threads=threads)
    split(rows.scale_in_place, product.numel(), product.numel(), array(product).reshape(-1), codes.step * weights.step)
    return product.view(torch.float32)


def _block_error(codes: Codes, weights: Codes, outputs: int) -> Tensor:
    """The product with ``outputs`` errors a row, as integer dot products of our own."""
    turned = grouped(weights.integers, outputs, codes.step * weights.step)
    out = empty(len(codes.integers), len(weights.integers))
    work = out.numel() * (4 + outputs // 8)
    split(error_products, len(out), work, codes.integers, *turned, array(out))
    return out


def _sparse_error(codes: Codes, weights: Codes, inputs: int) -> Tensor:
    """The product as a sum, for each row of errors, of the multiples of weight columns that are not 0."""
    columns = padded(codes.integers.shape[1], inputs, np.int8)
    rows.transpose(weights.integers, columns)
    out = empty(len(codes.integers), inputs)
    limit = MULTIPLES // (codes.high * weights.high)
    work = int(out.numel() * codes.integers.shape[1] * DENSEST_ERROR)
    split(rows.sum_multiples, len(out), work, codes.integers, columns, limit, codes.step * weights.step, array(out))
    return out


def _fits(error: Tensor, weight: Tensor) -> bool:
    """Whether the shapes belong together and a float holds the sums of products of 8-bit integers."""
    return error.shape[-1] == weight.shape[1] and error.shape[-1] * 127**2 <= 2**24


def input_error(
    error: Tensor, weight: Tensor, weight_bits: int | None, scale: float, error_bits: int | None = None
) -> Tensor:
    """`eager.input_error`, in integers where both have codes of 8 bits whose sum a float holds."""
    codes: Codes | None = known(error, "codes", _integer_codes) if _fits(error, weight) else None
    weights = weight_codes(weight, weight_bits, scale) if codes is not None else None
    if codes is None or weights is None or {codes.integers.dtype, weights.integers.dtype} != {np.dtype(np.int8)}:
        return eager.input_error(error, weight, weight_bits, scale, error_bits)
    shape = (*error.shape[:-1], len(weight))
    if has_dot_products():
        return _block_error(codes, weights, error.shape[-1]).reshape(shape)
    if has_integer_product():
        return _dense_error(codes, weights).reshape(shape)
    if 16 * codes.high * weights.high <= MULTIPLES:
        nonzero = np.count_nonzero(codes.integers)
        if nonzero <= DENSEST_ERROR * error.numel():
            return _sparse_error(codes, weights, len(weight)).reshape(shape)
    floats = weights.step * weights.integers[:, : weight.shape[1]].astype(np.float32)
    with single_threaded(error.numel() * len(weight) < SMALL_PRODUCT):
        return error @ torch.from_numpy(floats).T
