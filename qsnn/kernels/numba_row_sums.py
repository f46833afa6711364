"""Sums of selected rows of a matrix of small integers, kept in vector registers while the rows go by.

Written in LLVM's vectors of `WIDTH` integers, which become the widest that the CPU has: LLVM's own vectoriser stores and
loads the sum for every few rows, and asks for each whether it overlaps them.
"""
# mypy: allow-untyped-defs

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 128  # columns at a time; the columns of a matrix of integers are padded to a multiple of it


def _array(context, builder, kind, value):
    return context.make_array(kind)(context, builder, value)


def _vector(context, builder, pointer, kind):
    """``WIDTH`` numbers of numba's type ``kind`` from memory: pointer to them, as one vector."""
    return builder.bitcast(pointer, ir.VectorType(context.get_data_type(kind), WIDTH).as_pointer())


def _load(builder, pointer):
    value = builder.load(pointer)
    value.align = 1  # faster where it is aligned, but correct everywhere
    return value


def _splat(builder, number, kind):
    empty, places = ir.Constant(kind, ir.Undefined), ir.VectorType(ir.IntType(32), WIDTH)
    return builder.shuffle_vector(
        builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0)), empty, ir.Constant(places, [0] * WIDTH)
    )


def _emit_sum(context, builder, rows, lists, total, factor):
    """``total[j] += factor(row) * matrix[row, low + j]`` over the listed rows. Pairs are of numba's types and values.

    ``rows``: matrix and ``low``; ``lists``: indices, begin, end; ``factor`` emits a vector for a row, or is None.
    """
    (matrix_type, matrix_value), low = rows
    (index_type, index_value), begin, end = lists
    matrix, indices = (
        _array(context, builder, matrix_type, matrix_value),
        _array(context, builder, index_type, index_value),
    )
    stride = builder.extract_value(matrix.shape, 1)
    place = _vector(context, builder, _array(context, builder, *total).data, total[0].dtype)
    kind = place.type.pointee
    held = cgutils.alloca_once(builder, kind)  # becomes registers
    builder.store(_load(builder, place), held)
    with cgutils.for_range(builder, builder.sub(end, begin)) as loop:
        index = builder.load(builder.gep(indices.data, [builder.add(begin, loop.index)]))
        row = builder.zext(index, ir.IntType(64))
        start = builder.gep(matrix.data, [builder.add(builder.mul(row, stride), low)])
        numbers = _load(builder, _vector(context, builder, start, matrix_type.dtype))
        if numbers.type != kind:
            numbers = builder.sext(numbers, kind)
        if factor is not None:
            numbers = builder.mul(numbers, factor(row, kind))
        builder.store(builder.add(builder.load(held), numbers), held)
    builder.store(builder.load(held), place).align = 1
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
        data = _array(context, builder, *f).data

        def factor(row, kind):
            return _splat(builder, builder.sext(builder.load(builder.gep(data, [row])), kind.element), kind)

        return _emit_sum(context, builder, (m, l[1]), (i, b[1], e[1]), t, factor)

    int64 = types.int64
    return types.void(factors, matrix, int64, indices, int64, int64, total), generate
