"""Sums in vector registers, which the compiler would not keep there by itself: numba's loops store and load the sum for
every few rows, and ask for each whether it overlaps them. LLVM turns its vectors into the widest that the CPU has.
"""
# mypy: allow-untyped-defs

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from qsnn.kernels.numba.runtime.compile import OPTIONS

VECTOR_BYTES = 64
WIDTH = 128  # columns of integers at a time; the columns of a matrix of integers are padded to a multiple of it
INT, DOUBLE = ir.IntType(64), ir.DoubleType()


def broadcast(builder, value, lanes):
    """A vector with ``value`` in every lane."""
    empty = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(builder.insert_element(empty, value, ir.IntType(32)(0)), empty, zeros)


def load(builder, pointer, element, lanes, align):
    """Its address as one of vectors, and the vector there."""
    vector = builder.bitcast(pointer, ir.VectorType(element, lanes).as_pointer())
    return vector, builder.load(vector, align=align)


@intrinsic
def add_scaled(typing, zeros, totals, source, shifts, factors, offsets, begin, end):
    """``totals[v, :] += sum over n from begin to end of factors[n] * source[offsets[n] + shifts[v] :][:lanes]``.

    For as many v as the tuple ``zeros`` is long, and lanes to 64 bytes; ``totals`` (double), ``source``, ``factors`` (of
    the type of ``zeros``), ``shifts`` and ``offsets`` (int64) are flat arrays. Products and sums may be fused.
    """
    signature = types.void(zeros, totals, source, shifts, factors, offsets, begin, end)

    def generate(context, builder, signature, arguments):
        kinds = signature.args
        element = context.get_value_type(kinds[0].dtype)
        lanes, size = VECTOR_BYTES * 8 // kinds[0].dtype.bitwidth, kinds[0].dtype.bitwidth // 8
        totals, source, shifts, factors, offsets = (
            context.make_array(kinds[n])(context, builder, arguments[n]).data for n in range(1, 6)
        )
        vector = ir.VectorType(element, lanes)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, None)) for _ in range(kinds[0].count)]
        starts = [builder.gep(source, [builder.load(builder.gep(shifts, [INT(v)]))]) for v in range(kinds[0].count)]
        with cgutils.for_range_slice(builder, arguments[6], arguments[7], INT(1)) as (n, _):
            offset = builder.load(builder.gep(offsets, [n]))
            factor = broadcast(builder, builder.load(builder.gep(factors, [n])), lanes)
            for total, start in zip(sums, starts, strict=True):
                _, values = load(builder, builder.gep(start, [offset]), element, lanes, size)
                product = builder.fmul(values, factor, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for v, total in enumerate(sums):
            place, before = load(builder, builder.gep(totals, [INT(v * lanes)]), DOUBLE, lanes, 8)
            more = builder.load(total)
            more = more if element == DOUBLE else builder.fpext(more, before.type)
            builder.store(builder.fadd(before, more), place, align=8)
        return context.get_dummy_value()

    return signature, generate


def _emit_sum(context, builder, rows, lists, total, factor):
    """``total[j] += factor(row) * matrix[row, low + j]`` over the listed rows. Pairs are of numba's types and values.

    ``rows``: matrix and ``low``; ``lists``: indices, begin, end; ``factor`` emits a row's factor, or is None.
    """
    (matrix_type, matrix_value), low = rows
    (index_type, index_value), begin, end = lists
    matrix, indices, sums = (
        context.make_array(kind)(context, builder, value)
        for kind, value in ((matrix_type, matrix_value), (index_type, index_value), total)
    )
    stride, element = builder.extract_value(matrix.shape, 1), context.get_data_type(matrix_type.dtype)
    place, before = load(builder, sums.data, context.get_data_type(total[0].dtype), WIDTH, 1)
    held = cgutils.alloca_once_value(builder, before)  # becomes registers
    with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
        index = builder.load(builder.gep(indices.data, [builder.add(begin, loop.index)]))
        row = builder.zext(index, INT)
        start = builder.gep(matrix.data, [builder.add(builder.mul(row, stride), low)])
        _, numbers = load(builder, start, element, WIDTH, 1)
        if numbers.type != before.type:
            numbers = builder.sext(numbers, before.type)
        if factor is not None:
            numbers = builder.mul(numbers, broadcast(builder, factor(row, before.type.element), WIDTH))
        builder.store(builder.add(builder.load(held), numbers), held)
    builder.store(builder.load(held), place, align=1)
    return context.get_dummy_value()


@intrinsic
def add_rows(typing_context, matrix, low, indices, begin, end, total):
    """``total += sum of matrix[k, low : low + WIDTH] for k in indices[begin:end]``; ``total`` has WIDTH integers."""

    def generate(context, builder, signature, arguments):
        m, l, i, b, e, t = zip(signature.args, arguments, strict=True)  # noqa: E741
        return _emit_sum(context, builder, (m, l[1]), (i, b[1], e[1]), t, None)

    int64 = types.int64
    return types.void(matrix, int64, indices, int64, int64, total), generate


@intrinsic
def add_multiples(typing_context, factors, matrix, low, indices, begin, end, total):
    """The same of ``factors[k] * matrix[k, low : low + WIDTH]``."""

    def generate(context, builder, signature, arguments):
        f, m, l, i, b, e, t = zip(signature.args, arguments, strict=True)  # noqa: E741
        data = context.make_array(f[0])(context, builder, f[1]).data

        def factor(row, element):
            return builder.sext(builder.load(builder.gep(data, [row])), element)

        return _emit_sum(context, builder, (m, l[1]), (i, b[1], e[1]), t, factor)

    int64 = types.int64
    return types.void(factors, matrix, int64, indices, int64, int64, total), generate


@intrinsic
def _equal(typing_context, row, place, number):
    """Which of the 64 integers from ``row[place]`` on are ``number``, as the bits of a word."""

    def generate(context, builder, signature, arguments):
        numbers, element = (
            context.make_array(signature.args[0])(context, builder, arguments[0]),
            signature.args[0].dtype,
        )
        start = builder.gep(numbers.data, [arguments[1]])
        _, values = load(builder, start, context.get_data_type(element), 64, element.bitwidth // 8)
        return builder.bitcast(builder.icmp_signed("==", values, broadcast(builder, arguments[2], 64)), INT)

    return types.uint64(row, types.int64, row.dtype), generate


@intrinsic
def _lowest(typing_context, word):
    """The number of the lowest bit that is 1; some is."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.int64(types.uint64), generate


@njit(**OPTIONS)
def list_ones(row, one, zero, indices, place):
    """Where the integers of ``row`` are ``one``, in ascending order into ``indices`` from ``place`` on, where there is room for
    all. Returns the place behind the last, and whether there are integers that are neither ``one`` nor ``zero``.

    For few of them: 64 at a time become the bits of a word, whose ones are then looked up.
    """
    whole, strays = row.size - row.size % 64, np.uint64(0)
    for low in range(0, whole, 64):
        word = _equal(row, low, one)
        strays |= ~(word | _equal(row, low, zero))
        while word != 0:
            indices[place] = low + _lowest(word)
            place += 1
            word &= word - np.uint64(1)
    for i in range(whole, row.size):
        if row[i] == one:
            indices[place] = i
            place += 1
        elif row[i] != zero:
            strays |= np.uint64(1)
    return place, strays != 0
