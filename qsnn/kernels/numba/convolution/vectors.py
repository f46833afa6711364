"""Vectors of sums in memory, which the compiler would not unroll by itself, and blocks of pixels transposed in registers.

Channels are innermost in maps of sums, pixels in torch's: (H, W, O) and (O, H, W). A run is what a row of a kernel touches: the
channels of some pixels side by side. LLVM turns its vectors into the widest that the CPU has.
"""
# mypy: allow-untyped-defs

from functools import cache, partial

from llvmlite import ir  # type: ignore[import-untyped]
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR_BYTES = 64
SIDE = 16  # pixels and channels of a block that is transposed
LONGEST = 6  # vectors of a run that are unrolled
IN_REGISTERS = (3, 3), (3, 6), (5, 5)  # rows of a kernel and vectors of its rows: sides 3 and 5, 16 channels, and 3, 32
INT, INT32 = ir.IntType(64), ir.IntType(32)


def lanes_of(kind):
    """How many integers of a numpy type make a vector."""
    return VECTOR_BYTES // kind.itemsize


def _shuffled(builder, one, other, indices):
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(INT32, len(indices)), indices))


def _broadcast(builder, value, lanes):
    empty = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    return _shuffled(builder, builder.insert_element(empty, value, INT32(0)), empty, [0] * lanes)


def _pointer(builder, data, place, element, lanes):
    return builder.bitcast(builder.gep(data, [place]), ir.VectorType(element, lanes).as_pointer())


def _load(builder, data, place, element, lanes):
    return builder.load(_pointer(builder, data, place, element, lanes), align=element.width // 8)


def _data(context, builder, signature, arguments, *numbers):
    return [context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in numbers]


def _for_each_vector(builder, rows, vectors, emit):
    """``emit(row, vector)`` for every vector of every row, those of short runs unrolled."""
    end = builder.append_basic_block("runs.end")
    any_length = builder.append_basic_block("runs.any")
    switch = builder.switch(vectors, any_length)
    for length in range(1, LONGEST + 1):
        block = builder.append_basic_block(f"runs.{length}")
        switch.add_case(INT(length), block)
        builder.position_at_end(block)
        with cgutils.for_range(builder, rows) as row:
            for vector in range(length):
                emit(row.index, INT(vector))
        builder.branch(end)
    builder.position_at_end(any_length)
    with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, vectors) as vector:
        emit(row.index, vector.index)
    builder.branch(end)
    builder.position_at_end(end)


@intrinsic
def add_runs(typing, target, place, stride, source, start, step, rows, vectors):
    """``target[place + j stride + i] += source[start + j step + i]``: j below ``rows``, i below so many whole ``vectors``."""

    def generate(context, builder, signature, arguments):
        into, out_of = _data(context, builder, signature, arguments, 0, 3)
        _, place, stride, _, start, step, rows, vectors = arguments
        element, wide = (context.get_data_type(signature.args[n].dtype) for n in (3, 0))
        lanes = VECTOR_BYTES * 8 // wide.width

        def emit(row, vector):
            column = builder.mul(vector, INT(lanes))
            here = builder.add(builder.add(place, column), builder.mul(row, stride))
            there = builder.add(builder.add(start, column), builder.mul(row, step))
            numbers = _load(builder, out_of, there, element, lanes)
            numbers = numbers if element == wide else builder.sext(numbers, ir.VectorType(wide, lanes))
            total = builder.add(_load(builder, into, here, wide, lanes), numbers)
            builder.store(total, _pointer(builder, into, here, wide, lanes), align=wide.width // 8)

        _for_each_vector(builder, rows, vectors, emit)
        return context.get_dummy_value()

    long = types.int64
    return types.void(target, long, long, source, long, long, long, long), generate


@cache
def _pair_instruction():
    """LLVM's name of the CPU's multiplication of 16-bit pairs with 32-bit sums, and the lanes of these; None if it has none."""
    features = get_host_cpu_features()
    if features.get("avx512bw"):
        return "llvm.x86.avx512.pmaddw.d.512", 16
    return ("llvm.x86.avx2.pmadd.wd", 8) if features.get("avx2") else None


def _pair_sums(builder, one, other):
    """``one[2 n] other[2 n] + one[2 n + 1] other[2 n + 1]``, int32, of int16."""
    lanes, instruction = one.type.count // 2, _pair_instruction()
    if instruction is None:
        wide = ir.VectorType(INT32, lanes)
        parts = [
            [builder.sext(_shuffled(builder, v, v, list(range(n, 2 * lanes, 2))), wide) for v in (one, other)]
            for n in (0, 1)
        ]
        return builder.add(*(builder.mul(*part) for part in parts))
    name, width = instruction
    short, wide = ir.VectorType(ir.IntType(16), 2 * width), ir.VectorType(INT32, width)
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(wide, [short, short]), name)
    if width == lanes:
        return builder.call(function, [one, other])
    halves = [[_shuffled(builder, v, v, list(range(n, n + lanes))) for v in (one, other)] for n in (0, lanes)]
    low, high = (builder.call(function, half) for half in halves)
    return _shuffled(builder, low, high, list(range(lanes)))


def _sum_in_registers(builder, count, places, multiples):
    """Add to the vectors at ``places`` (pointers) the ``multiples(i)``, one for each, for i below ``count``."""
    sums = [cgutils.alloca_once_value(builder, builder.load(place, align=4)) for place in places]
    with cgutils.for_range(builder, count) as loop:
        for total, product in zip(sums, multiples(loop.index), strict=True):
            builder.store(builder.add(builder.load(total), product), total)
    for total, place in zip(sums, places, strict=True):
        builder.store(builder.load(total), place, align=4)


def _for_each_block(builder, rows, vectors, emit):
    """``emit`` of all (row, vector) at once for a kernel of `IN_REGISTERS`, one after the other for any other."""
    end, other = builder.append_basic_block("blocks.end"), builder.append_basic_block("blocks.any")
    switch = builder.switch(builder.add(builder.shl(rows, INT(32)), vectors), other)
    for height, width in IN_REGISTERS:
        block = builder.append_basic_block(f"blocks.{height}.{width}")
        switch.add_case(INT((height << 32) + width), block)
        builder.position_at_end(block)
        emit([(INT(row), INT(vector)) for row in range(height) for vector in range(width)])
        builder.branch(end)
    builder.position_at_end(other)
    with cgutils.for_range(builder, rows) as row, cgutils.for_range(builder, vectors) as vector:
        emit([(row.index, vector.index)])
    builder.branch(end)
    builder.position_at_end(end)


@intrinsic
def add_multiples(typing, target, place, stride, source, length, pairs, first, listed, count, rows, vectors):
    """``target[place + j stride + i] += pair[0] source[m] + pair[1] source[m + 1]`` over the listed pairs n.

    ``pair = pairs[first + n]``, two int16 in an int32; ``m = length n + 2 (j width + i)`` for j below ``rows``, i below width,
    whole ``vectors``. ``target`` int32, ``source`` int16. The sums of usual kernels stay in registers.
    """

    def generate(context, builder, signature, arguments):
        into, out_of, numbers, chosen = _data(context, builder, signature, arguments, 0, 3, 5, 7)
        _, place, stride, _, length, _, first, _, count, rows, vectors = arguments
        lanes, short = VECTOR_BYTES // 4, ir.VectorType(ir.IntType(16), VECTOR_BYTES // 2)

        def there(row, vector):
            column = builder.add(place, builder.mul(vector, INT(lanes)))
            return _pointer(builder, into, builder.add(column, builder.mul(row, stride)), INT32, lanes)

        def multiples(i, at):
            n = builder.load(builder.gep(chosen, [i]))
            factors = builder.bitcast(
                _broadcast(builder, builder.load(builder.gep(numbers, [builder.add(first, n)])), lanes), short
            )
            for number in at:
                start = builder.add(builder.mul(n, length), builder.mul(number, INT(2 * lanes)))
                yield _pair_sums(builder, _load(builder, out_of, start, ir.IntType(16), 2 * lanes), factors)

        def emit(at):
            spots = [builder.add(builder.mul(row, vectors), vector) for row, vector in at]
            _sum_in_registers(builder, count, [there(*spot) for spot in at], partial(multiples, at=spots))

        _for_each_block(builder, rows, vectors, emit)
        return context.get_dummy_value()

    long = types.int64
    return types.void(target, long, long, source, long, pairs, long, listed, long, long, long), generate


def _transposed(builder, rows):
    """`SIDE` vectors of as many lanes, transposed: at each stage halves of lanes change places between rows."""
    distance = 1
    while distance < SIDE:
        low = [lane if not lane & distance else lane - distance + SIDE for lane in range(SIDE)]
        high = [lane + distance if not lane & distance else lane + SIDE for lane in range(SIDE)]
        done = list(rows)
        for n in range(SIDE):
            if not n & distance:
                done[n] = _shuffled(builder, rows[n], rows[n + distance], low)
                done[n + distance] = _shuffled(builder, rows[n], rows[n + distance], high)
        rows, distance = done, 2 * distance
    return rows


@intrinsic
def channels_first(typing, source, offsets, first, shift, step, target, place, stride, channels):
    """``target[place + c stride + p] = step source[offsets[first + p] + shift + c]``, integers to float32.

    For p below `SIDE`, c below ``channels`` of at most `SIDE`, as many of which are read.
    """

    def generate(context, builder, signature, arguments):
        out_of, places, into = _data(context, builder, signature, arguments, 0, 1, 5)
        _, _, first, shift, step, _, place, stride, channels = arguments
        element, scale, rows = context.get_data_type(signature.args[0].dtype), _broadcast(builder, step, SIDE), []
        for p in range(SIDE):
            offset = builder.load(builder.gep(places, [builder.add(first, INT(p))]))
            numbers = _load(builder, out_of, builder.add(offset, shift), element, SIDE)
            rows.append(builder.fmul(builder.sitofp(numbers, scale.type), scale))
        for c, row in enumerate(_transposed(builder, rows)):
            with builder.if_then(builder.icmp_signed("<", INT(c), channels), likely=True):
                here = builder.add(place, builder.mul(stride, INT(c)))
                pointer = builder.bitcast(builder.gep(into, [here]), scale.type.as_pointer())
                builder.store(row, pointer, align=4)
        return context.get_dummy_value()

    long = types.int64
    return types.void(source, offsets, long, long, types.float32, target, long, long, long), generate


@intrinsic
def channels_last(typing, source, place, stride, target, offsets, first, shift):
    """``target[offsets[first + p] + shift + c] = source[place + c stride + p]``, p and c below `SIDE`; int32 to int16."""

    def generate(context, builder, signature, arguments):
        out_of, into, places = _data(context, builder, signature, arguments, 0, 3, 4)
        _, place, stride, _, _, first, shift = arguments
        rows = [
            _load(builder, out_of, builder.add(place, builder.mul(stride, INT(c))), INT32, SIDE) for c in range(SIDE)
        ]
        short = ir.VectorType(ir.IntType(16), SIDE)
        for p, row in enumerate(_transposed(builder, rows)):
            offset = builder.load(builder.gep(places, [builder.add(first, INT(p))]))
            pointer = _pointer(builder, into, builder.add(offset, shift), ir.IntType(16), SIDE)
            builder.store(builder.trunc(row, short), pointer, align=2)
        return context.get_dummy_value()

    long = types.int64
    return types.void(source, long, long, target, offsets, long, long), generate


@intrinsic
def largest_of_four(typing, values, above, below, best, places, window):
    """The largest of 2 x 2 ``values``, the first of equals, for `SIDE` windows side by side.

    Their upper rows begin at ``above``, their lower at ``below``; into ``best`` and, as 0 to 3 in the order of rows, ``places``
    (uint8) from ``window`` on.
    """

    def generate(context, builder, signature, arguments):
        out_of, into, numbers = _data(context, builder, signature, arguments, 0, 3, 4)
        _, above, below, _, _, window = arguments
        real, byte = ir.FloatType(), ir.VectorType(ir.IntType(8), SIDE)

        def largest(begin):
            low, high = (
                builder.load(_pointer(builder, out_of, builder.add(begin, INT(n)), real, SIDE), align=4)
                for n in (0, SIDE)
            )
            left, right = (_shuffled(builder, low, high, list(range(n, 2 * SIDE, 2))) for n in (0, 1))
            second = builder.fcmp_ordered(">", right, left)
            return builder.select(second, right, left), builder.zext(second, byte)

        (top, first), (bottom, second) = largest(above), largest(below)
        lower = builder.fcmp_ordered(">", bottom, top)
        two = ir.Constant(byte, [2] * SIDE)
        place = builder.select(lower, builder.add(second, two), first)
        pointer = builder.bitcast(builder.gep(into, [window]), top.type.as_pointer())
        builder.store(builder.select(lower, bottom, top), pointer, align=4)
        builder.store(place, _pointer(builder, numbers, window, ir.IntType(8), SIDE), align=1)
        return context.get_dummy_value()

    long = types.int64
    return types.void(values, long, long, best, places, long), generate
