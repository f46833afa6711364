"""Jitted products of a binary, sparse matrix with one on a grid: sums of selected rows of small integers.

A binary matrix is kept as lists: the ones of row r are in columns ``indices[starts[r]:ends[r]]``. Integers are padded
with zeros, see `qsnn.kernels.numba_products.padded`: to whole vectors, and by a row that can be added to no effect.
"""
# mypy: allow-untyped-defs

import numpy as np
from numba import njit

from qsnn.kernels.numba_compile import OPTIONS, compiled, compiled_for
from qsnn.kernels.numba_scalars import parts_of, size_of

ONE_BITS = np.int32(0x3F800000)  # of 1.0


@njit(**OPTIONS)
def _count_row(bits):
    ones, strays = np.int32(0), np.int32(0)
    for i in range(bits.size):
        one = bits[i] == ONE_BITS
        ones = np.int32(ones + np.int32(one))
        strays = np.int32(strays + np.int32(~(one | (bits[i] == 0))))
    return ones, strays


@compiled("int64(int64, int64, int32[:,::1], int64[::1])")
def count_ones(start, stop, bits, counts):
    """How many ones each row holds, given the floats' bits; returns how many elements are neither 0 nor 1."""
    total = 0
    for r in range(start, stop):
        ones, strays = _count_row(bits[r])
        counts[r] = ones
        total += strays
    return total


@njit(**OPTIONS)
def _list_row(bits, indices):
    place = 0
    for i in range(bits.size):
        indices[place] = i  # always written, and kept only if the place moves on: no branch to mispredict
        place += bits[i] != 0


@compiled("void(int64, int64, int32[:,::1], int64[::1], int32[::1])")
def list_ones(start, stop, bits, starts, indices):
    """The columns of the ones of each row. ``indices`` has one slot to spare after each list."""
    for r in range(start, stop):
        _list_row(bits[r], indices[starts[r] :])


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
def _add_rows(codes, k0, k1, k2, k3, k4, k5, k6, k7, total):
    """``total +=`` eight rows of ``codes``: fewer loads and stores of the total than one by one."""
    for j in range(total.size):
        total[j] += (
            codes[k0, j] + codes[k1, j] + codes[k2, j] + codes[k3, j]
            + codes[k4, j] + codes[k5, j] + codes[k6, j] + codes[k7, j]
        )  # fmt: skip


@njit(**OPTIONS)
def _row(indices, k, end, spare):
    return indices[k] if k < end else spare


@njit(**OPTIONS)
def _scale(m, low, high, total, step, out):
    largest = np.int32(0)
    for j in range(low, high):
        x = step * np.float32(total[j])
        out[m, j] = x
        largest = max(largest, size_of(x))
    return largest


@njit(**OPTIONS)
def _scale_row(m, total, step, out):
    largest = np.int32(0)
    for low, high in parts_of(0, out.shape[1], 64):
        largest = max(largest, _scale(m, low, high, total, step, out))
    return largest


@njit(**OPTIONS)
def _add_scaled(m, total, step, out):
    largest = np.int32(0)
    for j in range(np.uint64(out.shape[1])):
        x = out[m, j] + step * np.float32(total[j])
        out[m, j] = x
        largest = max(largest, size_of(x))
    return largest


@njit(**OPTIONS)
def sum_block(start, stop, codes, starts, ends, indices, limit, total, step, add, out):
    """``out[m] = step * sum of codes[k] for k in indices[starts[m]:ends[m]]``, added to ``out[m]`` if ``add``.

    ``total``: integers to sum in; ``limit`` rows fit into them. Returns the bits of the maximum of what was written.
    """
    largest, spare = np.int32(0), codes.shape[0] - 1
    for m in range(start, stop):
        begin, fresh, size = starts[m], not add, np.int32(0)
        while fresh or begin < ends[m]:
            end = min(begin + limit, ends[m])
            total[:] = 0
            for k in range(begin, end, 8):
                _add_rows(
                    codes, indices[k], _row(indices, k + 1, end, spare), _row(indices, k + 2, end, spare),
                    _row(indices, k + 3, end, spare), _row(indices, k + 4, end, spare),
                    _row(indices, k + 5, end, spare), _row(indices, k + 6, end, spare),
                    _row(indices, k + 7, end, spare), total,
                )  # fmt: skip
            size = _scale_row(m, total, step, out) if fresh else _add_scaled(m, total, step, out)
            begin, fresh = end, False
        largest = max(largest, size)
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
    total = np.empty(codes.shape[1], kind.dtype)
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


@njit(**OPTIONS)
def _add_multiples(errors, columns, k0, k1, k2, k3, k4, k5, k6, k7, total):
    """``total +=`` eight rows of ``columns``, each times its error."""
    e0, e1, e2, e3 = np.int16(errors[k0]), np.int16(errors[k1]), np.int16(errors[k2]), np.int16(errors[k3])
    e4, e5, e6, e7 = np.int16(errors[k4]), np.int16(errors[k5]), np.int16(errors[k6]), np.int16(errors[k7])
    for j in range(total.size):
        total[j] += (
            e0 * columns[k0, j] + e1 * columns[k1, j] + e2 * columns[k2, j] + e3 * columns[k3, j]
            + e4 * columns[k4, j] + e5 * columns[k5, j] + e6 * columns[k6, j] + e7 * columns[k7, j]
        )  # fmt: skip


@compiled("void(int64, int64, int8[:,::1], int8[:,::1], int64, float32, float32[:,::1])")
def sum_multiples(start, stop, errors, columns, limit, step, out):
    """``out[m] = step * sum over n of errors[m, n] * columns[n]``, skipping errors of 0.

    ``limit``: how many products fit into an int16, a multiple of 8. The last row of ``columns`` holds zeros.
    """
    total, indices = np.empty(columns.shape[1], np.int16), np.empty(errors.shape[1] + 8, np.int32)
    for m in range(start, stop):
        count = _list_nonzero(errors[m], indices)
        indices[count : count + 8] = columns.shape[0] - 1
        for begin in range(0, max(count, 1), limit):
            total[:] = 0
            for k in range(begin, min(begin + limit, count), 8):
                _add_multiples(
                    errors[m], columns, indices[k], indices[k + 1], indices[k + 2], indices[k + 3],
                    indices[k + 4], indices[k + 5], indices[k + 6], indices[k + 7], total,
                )  # fmt: skip
            if begin == 0:
                _scale_row(m, total, step, out)
            else:
                _add_scaled(m, total, step, out)


@compiled("void(int8[:,::1], int8[:,::1])")
def transpose(codes, out):
    """``out[n, i] = codes[i, n]`` as far as ``out`` reaches."""
    for i in range(np.uint64(codes.shape[0])):
        for n in range(np.uint64(codes.shape[1])):
            out[n, i] = codes[i, n]


@compiled("void(int64, int64, int32[::1], float32)")
def scale_in_place(start, stop, numbers, step):
    """Replace integers by the bits of the floats that are ``step`` times them."""
    for i in range(np.uint64(start), np.uint64(stop)):
        numbers[i] = np.float32(step * np.float32(numbers[i])).view(np.int32)
