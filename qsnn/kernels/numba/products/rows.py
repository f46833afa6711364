"""Jitted products of a binary, sparse matrix with one on a grid: sums of selected rows of small integers.

A binary matrix is kept as lists: the ones of row r are in columns ``indices[starts[r]:ends[r]]``. The columns of
integers are padded with zeros to whole vectors, see `qsnn.kernels.numba.products.products.padded`.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba.products.vectors import WIDTH, add_multiples, add_rows, list_ones
from qsnn.kernels.numba.rounding.scalars import parts_of, size_of
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled, compiled_for

ROWS = 64  # of errors whose lists are made at a time


@compiled_for("b1(int64, int64, {0}[:,::1], {0}, {0}, int64[::1], int64[::1], int32[::1])", "int32", "uint8")
def list_rows(start, stop, matrix, one, zero, starts, ends, indices):
    """The columns of the ones of each row, from ``indices[start * columns]`` on; whether all else is 0."""
    place, strays = start * matrix.shape[1], False
    for r in range(start, stop):
        starts[r] = place
        place, stray = list_ones(matrix[r], one, zero, indices, place)
        ends[r] = place
        strays |= stray
    return not strays


@njit(**OPTIONS)
def transpose_rows(first, last, place, starts, ends, indices, column_starts, column_ends, rows):
    """From the columns of each row to the rows ``first`` to ``last`` of each column, ascending: a counting sort.

    The lists of the columns lie in ``rows`` from ``place`` on.
    """
    column_ends[:] = 0
    for r in range(first, last):
        for i in indices[starts[r] : ends[r]]:
            column_ends[i] += 1
    for i in range(column_ends.size):
        column_starts[i] = place
        place += column_ends[i]
        column_ends[i] = column_starts[i]
    for r in range(first, last):
        for i in indices[starts[r] : ends[r]]:
            rows[column_ends[i]] = r
            column_ends[i] += 1


@compiled("void(int64, int64, int64, int64[::1], int64[::1], int32[::1], int64[:,::1], int64[:,::1], int32[::1])")
def transpose_blocks(start, stop, size, starts, ends, indices, column_starts, column_ends, rows):
    """`transpose_rows` of the blocks ``start`` to ``stop`` of ``size`` rows each; ``rows`` is as long as ``indices``."""
    for block in range(start, stop):
        first, last = block * size, min((block + 1) * size, starts.size)
        transpose_rows(
            first, last, starts[first], starts, ends, indices, column_starts[block], column_ends[block], rows
        )


@njit(**OPTIONS)
def _integer_row(r, low, high, x, levels, out):
    strays = np.int32(0)
    for i in range(low, high):
        scaled = x[r, i] * levels
        code = np.int32(scaled)
        strays = np.int32(strays | np.int32(np.float32(code) != scaled))
        out[r, i] = code
    return strays


@compiled_for("b1(int64, int64, float32[:,::1], float32, {0}[:,::1])", "int8", "int16")
def to_integers(start, stop, x, levels, out):
    """``out = x * levels``, by rows; whether it is so without loss. |x| * levels must fit."""
    strays = 0
    for r in range(start, stop):
        for low, high in parts_of(0, x.shape[1], 64):
            strays |= _integer_row(r, low, high, x, levels, out)
    return strays == 0


@njit(**OPTIONS)
def _scale_part(m, low, count, total, step, add, out):
    """``out[m, low : low + count] = step * total``, or added to it; returns the bits of the maximum."""
    largest = np.int32(0)
    for j in range(count):
        x = step * np.float32(total[j])
        if add:
            x = out[m, low + j] + x
        out[m, low + j] = x
        largest = max(largest, size_of(x))
    return largest


@njit(**OPTIONS)
def sum_block(start, stop, codes, starts, ends, indices, limit, total, step, add, out):
    """``out[m] = step * sum of codes[k] for k in indices[starts[m]:ends[m]]``, added to ``out[m]`` if ``add``.

    ``total``: WIDTH integers to sum in; ``limit`` rows fit into them. Returns the bits of the maximum of what was written.
    Part by part of the columns, so that those of all codes stay in the cache.
    """
    largest = np.int32(0)
    for low in range(0, out.shape[1], WIDTH):
        first, count = np.uint64(low), np.uint64(min(WIDTH, out.shape[1] - low))
        for m in range(start, stop):
            begin, more = starts[m], add
            while not more or begin < ends[m]:
                end = min(begin + limit, ends[m])
                total[:] = 0
                add_rows(codes, low, indices, begin, end, total)
                largest = max(largest, _scale_part(m, first, count, total, step, more, out))
                begin, more = end, True
    return largest


@njit(**OPTIONS)
def _largest_of(start, stop, x):
    largest = np.int32(0)
    for m in range(start, stop):
        for j in range(np.uint64(x.shape[1])):
            largest = max(largest, size_of(x[m, j]))
    return largest


def _sum_rows(start, stop, codes, starts, ends, indices, limit, kind, step, out):
    """`sum_block` over all blocks, ``starts`` and ``ends`` (blocks, M), in integers of ``kind``.

    Block by block, so that the codes of one stay in the cache for all rows of ``out``.
    """
    total = np.empty(WIDTH, kind.dtype)
    largest = np.int32(0)
    for block in range(starts.shape[0]):
        largest = sum_block(start, stop, codes, starts[block], ends[block], indices, limit, total, step, block > 0, out)
    # A later block has not seen the sums of rows to which it adds nothing.
    return _largest_of(start, stop, out) if starts.shape[0] > 1 else largest


_SUM = (
    "int32(int64, int64, {0}[:,::1], int64[:,::1], int64[:,::1], int32[::1], int64, {1}[::1], float32, float32[:,::1])"
)
# By the types of codes and total.
sum_rows = {
    (np.dtype(code), np.dtype(total)): compiled(_SUM.format(code, total))(_sum_rows)
    for code, total in (("int8", "int8"), ("int8", "int16"), ("int16", "int32"))
}


@njit(**OPTIONS)
def _list_nonzero(codes, indices):
    place = 0
    for i in range(codes.size):
        indices[place] = i
        place += codes[i] != 0
    return place


@compiled("void(int64, int64, int8[:,::1], int8[:,::1], int64, float32, float32[:,::1])")
def sum_multiples(start, stop, errors, columns, limit, step, out):
    """``out[m] = step * sum over n of errors[m, n] * columns[n]``, skipping errors of 0.

    ``limit``: how many products fit into an int16. Part by part of the columns, for some rows at a time.
    """
    total, counts = np.empty(WIDTH, np.int16), np.empty(ROWS, np.int64)
    lists = np.empty((ROWS, errors.shape[1] + 1), np.int32)
    for first in range(start, stop, ROWS):
        last = min(first + ROWS, stop)
        for m in range(first, last):
            counts[m - first] = _list_nonzero(errors[m], lists[m - first])
        for low in range(0, out.shape[1], WIDTH):
            place, width = np.uint64(low), np.uint64(min(WIDTH, out.shape[1] - low))
            for m in range(first, last):
                row, indices, count = errors[m], lists[m - first], counts[m - first]
                for begin in range(0, max(count, 1), limit):
                    total[:] = 0
                    add_multiples(row, columns, low, indices, begin, min(begin + limit, count), total)
                    _scale_part(m, place, width, total, step, begin > 0, out)


@compiled("void(int8[:,::1], int8[:,::1])")
def transpose(codes, out):
    """``out[n, i] = codes[i, n]`` as far as ``out`` reaches, for a few columns at a time, which stay in the cache."""
    for low in range(0, codes.shape[1], 32):
        first, last = np.uint64(low), np.uint64(min(low + 32, codes.shape[1]))
        for i in range(np.uint64(codes.shape[0])):
            for n in range(first, last):
                out[n, i] = codes[i, n]


@compiled("void(int64, int64, int32[::1], float32)")
def scale_in_place(start, stop, numbers, step):
    """Replace integers by the bits of the floats that are ``step`` times them."""
    for i in range(np.uint64(start), np.uint64(stop)):
        numbers[i] = np.float32(step * np.float32(numbers[i])).view(np.int32)
