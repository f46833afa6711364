"""Sums in vector registers, which the compiler would not keep there by itself."""
# mypy: allow-untyped-defs

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR_BYTES = 64
INT, DOUBLE = ir.IntType(64), ir.DoubleType()


def _broadcast(builder, value, lanes):
    """A vector with ``value`` in every lane."""
    empty = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(builder.insert_element(empty, value, ir.IntType(32)(0)), empty, zeros)


def _load(builder, pointer, element, lanes, align):
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
            factor = _broadcast(builder, builder.load(builder.gep(factors, [n])), lanes)
            for total, start in zip(sums, starts, strict=True):
                _, values = _load(builder, builder.gep(start, [offset]), element, lanes, size)
                product = builder.fmul(values, factor, flags=("contract",))
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for v, total in enumerate(sums):
            place, before = _load(builder, builder.gep(totals, [INT(v * lanes)]), DOUBLE, lanes, 8)
            more = builder.load(total)
            more = more if element == DOUBLE else builder.fpext(more, before.type)
            builder.store(builder.fadd(before, more), place, align=8)
        return context.get_dummy_value()

    return signature, generate
