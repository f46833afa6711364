"""Products of errors with weights, a block of samples and columns at a time: its sums stay in vector registers, and every
vector of weights that is fetched serves all samples of the block.
"""
# mypy: allow-untyped-defs

from typing import NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from qsnn.kernels.numba.products.vectors import INT, VECTOR_BYTES, broadcast, load
from qsnn.kernels.numba.runtime.compile import OPTIONS, compiled

LANES = VECTOR_BYTES // 4  # of float32 or int32
VECTORS = 4  # of a block
COLUMNS = VECTORS * LANES  # of a block; those of weights are padded to a multiple of it
GROUP = 4  # products of 8-bit integers that one instruction adds up
TOGETHER = 4  # samples whose products share a fetched weight
ROWS = 64  # at a time, where the results' columns are no whole blocks
INT32, ZERO = ir.IntType(32), np.float32(0)


def has_dot_products() -> bool:
    """Whether the code is compiled for a CPU that adds up products of 8-bit integers in one instruction (AVX-512 VNNI)."""
    features = get_host_cpu_features()
    return not (config.CPU_NAME or config.CPU_FEATURES) and all(features.get(f) for f in ("avx512bw", "avx512vnni"))


def _addresses(builder, data, row, width, samples):
    """Of the first elements of so many rows."""
    return [builder.gep(data, [builder.mul(builder.add(row, INT(s)), width)]) for s in range(samples)]


@intrinsic
def multiply_floats(typing_context, errors, row, weights, low, out, samples):
    """``out[row + s, low : low + COLUMNS] = errors[row + s] @ weights[:, low : low + COLUMNS]``, s as many as ``samples`` is
    long.

    ``errors`` (B, N) float32; ``weights`` (N, padded) and ``out`` (B, padded) both float32 or float64. Products and sums may
    be fused.
    """
    signature = types.void(errors, types.int64, weights, types.int64, out, samples)

    def generate(context, builder, signature, arguments):
        kinds, _, row, low = signature.args, None, arguments[1], arguments[3]
        e, w, o = (context.make_array(kinds[n])(context, builder, arguments[n]) for n in (0, 2, 4))
        element, count = context.get_data_type(kinds[2].dtype), kinds[5].count
        columns, width = builder.extract_value(e.shape, 1), builder.extract_value(w.shape, 1)
        none = ir.Constant(ir.VectorType(element, LANES), None)
        sums = [[cgutils.alloca_once_value(builder, none) for _ in range(VECTORS)] for _ in range(count)]
        rows = _addresses(builder, e.data, row, columns, count)
        with cgutils.for_range(builder, columns) as loop:
            start = builder.gep(w.data, [builder.add(builder.mul(loop.index, width), low)])
            taken = [load(builder, builder.gep(start, [INT(v * LANES)]), element, LANES, 1)[1] for v in range(VECTORS)]
            for address, totals in zip(rows, sums, strict=True):
                factor = builder.load(builder.gep(address, [loop.index]))
                many = broadcast(builder, factor if factor.type == element else builder.fpext(factor, element), LANES)
                for total, values in zip(totals, taken, strict=True):
                    product = builder.fmul(values, many, flags=("contract",))
                    builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
        for address, totals in zip(_addresses(builder, o.data, row, width, count), sums, strict=True):
            for v, total in enumerate(totals):
                pointer = builder.gep(address, [builder.add(low, INT(v * LANES))])
                builder.store(builder.load(total), builder.bitcast(pointer, none.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def multiply_codes(typing_context, errors, row, weights, low, first, step, out, samples):
    """``out[row + s, low + j] = step * (first[low + j] + sum over n of errors[row + s, n] * w[n, low + j])``, j to COLUMNS.

    ``errors`` int8 (B, N or more), to which the instruction wants 128 added, and ``first`` takes that away again; ``weights``
    int8: w in groups of GROUP rows, (N / GROUP, padded * GROUP), a column's numbers of a group side by side; ``first`` int32,
    ``step`` and ``out`` float32.
    """
    signature = types.void(errors, types.int64, weights, types.int64, first, types.float32, out, samples)

    def generate(context, builder, signature, arguments):
        kinds, row, low, step = signature.args, arguments[1], arguments[3], arguments[5]
        e, w, f, o = (context.make_array(kinds[n])(context, builder, arguments[n]) for n in (0, 2, 4, 6))
        columns, width, padded = (builder.extract_value(array.shape, 1) for array in (e, w, o))
        vector, count = ir.VectorType(INT32, LANES), kinds[7].count
        add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), "llvm.x86.avx512.vpdpbusd.512"
        )
        places = [builder.add(low, INT(v * LANES)) for v in range(VECTORS)]
        begin = [load(builder, builder.gep(f.data, [place]), INT32, LANES, 4)[1] for place in places]
        sums = [[cgutils.alloca_once_value(builder, value) for value in begin] for _ in range(count)]
        rows = [builder.bitcast(a, INT32.as_pointer()) for a in _addresses(builder, e.data, row, columns, count)]
        groups = builder.bitcast(w.data, INT32.as_pointer())
        with cgutils.for_range(builder, builder.extract_value(w.shape, 0)) as loop:
            start = builder.gep(groups, [builder.mul(loop.index, builder.udiv(width, INT(GROUP)))])
            taken = [load(builder, builder.gep(start, [place]), INT32, LANES, 1)[1] for place in places]
            for address, totals in zip(rows, sums, strict=True):
                four = builder.xor(builder.load(builder.gep(address, [loop.index]), align=1), INT32(0x80808080))
                many = broadcast(builder, four, LANES)
                for total, values in zip(totals, taken, strict=True):
                    builder.store(builder.call(add, [builder.load(total), many, values]), total)
        scale = broadcast(builder, step, LANES)
        for address, totals in zip(_addresses(builder, o.data, row, padded, count), sums, strict=True):
            for place, total in zip(places, totals, strict=True):
                floats = builder.fmul(builder.sitofp(builder.load(total), scale.type), scale)
                pointer = builder.bitcast(builder.gep(address, [place]), scale.type.as_pointer())
                builder.store(floats, pointer, align=1)
        return context.get_dummy_value()

    return signature, generate


@njit(**OPTIONS)
def integer_products(start, stop, errors, weights, first, step, out):
    """``out[b] = errors[b] @ w`` of the samples ``start`` to ``stop``, as in `multiply_codes`."""
    middle = stop - (stop - start) % TOGETHER
    for low in range(0, out.shape[1], COLUMNS):
        for b in range(start, middle, TOGETHER):
            multiply_codes(errors, b, weights, low, first, step, out, (ZERO, ZERO, ZERO, ZERO))
        for b in range(middle, stop):
            multiply_codes(errors, b, weights, low, first, step, out, (ZERO,))


@njit(**OPTIONS)
def float_products(start, stop, errors, weights, out):
    """The same as in `multiply_floats`."""
    middle = stop - (stop - start) % TOGETHER
    for low in range(0, weights.shape[1], COLUMNS):
        for b in range(start, middle, TOGETHER):
            multiply_floats(errors, b, weights, low, out, (ZERO, ZERO, ZERO, ZERO))
        for b in range(middle, stop):
            multiply_floats(errors, b, weights, low, out, (ZERO,))


@compiled("void(int64, int64, int8[:,::1], int8[:,::1], int32[::1], float32, float32[:,::1])")
def error_products(start, stop, errors, weights, first, step, out):
    """``out = step * errors @ w``, as in `multiply_codes`, of any number of columns."""
    whole = out.shape[1] % COLUMNS == 0
    part = np.empty((ROWS, weights.shape[1] // GROUP), np.float32)
    for begin in range(start, stop, ROWS):
        end = min(begin + ROWS, stop)
        if whole:
            integer_products(begin, end, errors, weights, first, step, out)
        else:
            integer_products(0, end - begin, errors[begin:end], weights, first, step, part)
            out[begin:end] = part[: end - begin, : out.shape[1]]


class ErrorWeights(NamedTuple):
    """Weights by output, (N, padded) floats, or integers in groups of rows; what a sum of these begins with; and its step."""

    weights: np.ndarray
    first: np.ndarray
    step: float


def padded_columns(size: int) -> int:
    """As many as whole blocks have."""
    return -(-size // COLUMNS) * COLUMNS


def grouped(integers: np.ndarray, outputs: int, step: float) -> ErrorWeights:
    """Codes (I, padded) of 8 bits of weights to so many ``outputs``, for `multiply_codes`."""
    inputs, columns = len(integers), padded_columns(len(integers))
    turned = np.zeros((-(-outputs // GROUP), GROUP, columns), np.int8)
    turned.reshape(-1, columns)[:outputs, :inputs] = integers[:, :outputs].T
    first = -128 * turned.sum((0, 1), dtype=np.int32)
    return ErrorWeights(np.ascontiguousarray(turned.transpose(0, 2, 1)).reshape(len(turned), -1), first, step)
