"""Sums of products of pairs of 16-bit codes, held in vector registers over a whole loop nest.

A word is 32 bits that hold two codes; a product of two words is the sum of the two products of their codes. CPUs with AVX-512
VNNI add such products to 16 sums in one instruction, twice as many multiplications as in float32; others of AVX2 and AVX-512
need two. The compiler would neither choose them nor keep the sums in registers by itself.
"""
# mypy: allow-untyped-defs

import contextlib

from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

INT16, INT32, INT64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)


def _features() -> set[str]:
    """What numba compiles for: the names of what this CPU can do, unless NUMBA_CPU_FEATURES says otherwise."""
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    return {name for name, there in binding.get_host_cpu_features().items() if there}


FEATURES = _features()
WIDE = "avx512bw" in FEATURES
FUSED = WIDE and "avx512vnni" in FEATURES
AVAILABLE = WIDE or "avx2" in FEATURES
LANES = 16 if WIDE else 8
VECTORS = 2
OUTPUTS = VECTORS * LANES  # sums of one broadcast word
MOST_WORDS = 14 if FUSED else 13 if WIDE else 6  # broadcast at a time: as many as registers can take
WORDS = ir.VectorType(INT32, LANES)


def words_at_a_time(count: int) -> int:
    """How many of ``count`` words a tile takes, so that tiles of one size, at most `MOST_WORDS`, cover them."""
    return -(-count // -(-count // MOST_WORDS))


def add_products(builder, total, one, other):
    """``total`` plus the products of the words of ``one`` and ``other``."""
    if FUSED:
        kind = ir.FunctionType(WORDS, [WORDS] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpwssd.512")
        return builder.call(function, [total, one, other])
    codes = ir.VectorType(INT16, 2 * LANES)
    name = "llvm.x86.avx512.pmaddw.d.512" if WIDE else "llvm.x86.avx2.pmadd.wd"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(WORDS, [codes, codes]), name)
    return builder.add(total, builder.call(function, [builder.bitcast(part, codes) for part in (one, other)]))


def broadcast(builder, word):
    """A vector with ``word`` in every lane."""
    undefined = ir.Constant(WORDS, ir.Undefined)
    first = builder.insert_element(undefined, word, INT32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(INT32, LANES), None))


def _never_unrolled(module):
    """What to hang on a loop's branch: two turns at a time would need more registers than there are."""
    option = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    node = module.add_metadata([option, option])
    node.operands = (node, option)  # a loop's first operand is itself
    return node


@contextlib.contextmanager
def loop(builder, count, last):
    """Indices from 0 to ``count``, at least 1; the ``last`` loop of a nest is not unrolled."""
    before, body = builder.block, builder.append_basic_block("loop")
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(INT64)
    index.add_incoming(INT64(0), before)
    yield index
    after = builder.add(index, INT64(1))
    index.add_incoming(after, builder.block)
    end = builder.append_basic_block("done")
    branch = builder.cbranch(builder.icmp_signed("<", after, count), body, end)
    if last:
        branch.set_metadata("llvm.loop", _never_unrolled(builder.module))
    builder.position_at_end(end)


def _nest(builder, pointers, strides, counts):
    """Loops one inside the other, each of which moves the ``pointers`` by its ``strides``; yields them innermost."""
    with loop(builder, counts[0], len(counts) == 1) as index:
        moved = [builder.gep(p, [builder.mul(index, steps[0])]) for p, steps in zip(pointers, strides, strict=True)]
        if len(counts) == 1:
            yield moved
        else:
            yield from _nest(builder, moved, [steps[1:] for steps in strides], counts[1:])


@intrinsic
def dot_tile(typing, zeros, sums, words, start, word_strides, vectors, first, vector_strides, counts):
    """``sums[t, :] = sum over n of words[start + n * word_strides + t] * vectors[first + n * vector_strides :][:OUTPUTS]``.

    n: three indices below ``counts``, of which none is 0; t: below the length of the tuple ``zeros``; ``sums``, ``words`` and
    ``vectors``: flat arrays of int32, the last two of pairs of codes. Sums are modulo 2^32.
    """
    signature = types.void(zeros, sums, words, start, word_strides, vectors, first, vector_strides, counts)

    def generate(context, builder, signature, arguments):
        sums, words, vectors = (
            context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in (1, 2, 5)
        )
        strides = [[builder.extract_value(arguments[n], axis) for axis in range(3)] for n in (4, 7, 8)]
        count = signature.args[0].count
        held = [cgutils.alloca_once_value(builder, ir.Constant(WORDS, None)) for _ in range(count * VECTORS)]
        starts = [builder.gep(words, [arguments[3]]), builder.gep(vectors, [arguments[6]])]
        for word, vector in _nest(builder, starts, strides[:2], strides[2]):
            pointer = builder.bitcast(vector, WORDS.as_pointer())
            factors = [builder.load(builder.gep(pointer, [INT64(v)]), align=4) for v in range(VECTORS)]
            for t in range(count):
                other = broadcast(builder, builder.load(builder.gep(word, [INT64(t)]), align=4))
                for total, factor in zip(held[t * VECTORS : (t + 1) * VECTORS], factors, strict=True):
                    builder.store(add_products(builder, builder.load(total), other, factor), total)
        pointer = builder.bitcast(sums, WORDS.as_pointer())
        for n, total in enumerate(held):
            builder.store(builder.load(total), builder.gep(pointer, [INT64(n)]), align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def write_scaled(typing, sums, start, unit, bias, out, place):
    """``out[place:][:OUTPUTS] = sums[start:][:OUTPUTS] * unit + bias``, in double until it is written; flat arrays."""
    signature = types.void(sums, start, unit, bias, out, place)

    def generate(context, builder, signature, arguments):
        sums, bias, out = (
            context.make_array(signature.args[n])(context, builder, arguments[n]).data for n in (0, 3, 4)
        )
        double = ir.VectorType(ir.DoubleType(), OUTPUTS)
        kinds = [context.get_value_type(signature.args[n].dtype) for n in (0, 4)]
        source, target = (ir.VectorType(kind, OUTPUTS) for kind in kinds)
        values = builder.load(builder.bitcast(builder.gep(sums, [arguments[1]]), source.as_pointer()), align=4)
        if isinstance(source.element, ir.IntType):
            values = builder.sitofp(values, double)
        added = builder.load(builder.bitcast(bias, double.as_pointer()), align=8)
        undefined = ir.Constant(double, ir.Undefined)
        factor = builder.insert_element(undefined, arguments[2], INT32(0))
        factor = builder.shuffle_vector(factor, undefined, ir.Constant(ir.VectorType(INT32, OUTPUTS), None))
        total = builder.fadd(builder.fmul(values, factor), added)
        convert = builder.fptosi if isinstance(target.element, ir.IntType) else builder.fptrunc
        pointer = builder.bitcast(builder.gep(out, [arguments[5]]), target.as_pointer())
        builder.store(convert(total, target), pointer, align=4)
        return context.get_dummy_value()

    return signature, generate
