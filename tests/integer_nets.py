"""A forward and backward pass of quantized nets in whole numbers: int64 codes and a power of two, no floats, no qsnn.

A `Fixed` stands for ``codes * 2^-exponent``. Decays are fractions with a power of two below; of the surrogate
``1 / (slope * |v| + 1)^2`` the quotient is kept as a fraction until it is rounded, or it is a table of integers.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from naive_nets import winners
from numpy.lib.stride_tricks import sliding_window_view


class Fixed(NamedTuple):
    """``codes * 2^-exponent``."""

    codes: np.ndarray
    exponent: int

    def at(self, exponent: int) -> np.ndarray:
        """The codes of a finer exponent."""
        return self.codes << (exponent - self.exponent)


def add(one: Fixed, other: Fixed) -> Fixed:
    exponent = max(one.exponent, other.exponent)
    return Fixed(one.at(exponent) + other.at(exponent), exponent)


def _rint(codes: np.ndarray, shift: int) -> np.ndarray:
    """``codes * 2^-shift``, half to even."""
    if shift <= 0:
        return codes << -shift
    low, rest = codes >> shift, codes & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    return low + ((rest > half) | ((rest == half) & (low & 1 == 1)))


def quantized(x: Fixed, bits: int) -> Fixed:
    """symmetric(bits)."""
    if bits == 1:
        return Fixed(np.where(x.codes < 0, -1, 1), 0)
    high = 2 ** (bits - 1) - 1
    return Fixed(np.clip(_rint(x.codes, x.exponent - (bits - 1)), -high, high), bits - 1)


def within(x: Fixed, bits: int) -> np.ndarray:
    """Whether values are in the range of symmetric(bits)."""
    exponent = max(x.exponent, bits - 1)
    high = 1 if bits == 1 else 2 ** (bits - 1) - 1
    return np.abs(x.at(exponent)) <= high << (exponent - (bits - 1))


def nearest_power(size: Fraction) -> int:
    """``rint(log2 size)`` of a positive number: 2 size^2 against powers of 4."""
    power = size.numerator.bit_length() - size.denominator.bit_length()
    while size * size * 2 >= Fraction(4) ** (power + 1):
        power += 1
    while size * size * 2 < Fraction(4) ** power:
        power -= 1
    return power


def error(numerator: np.ndarray, bits: int, denominator: np.ndarray | None = None) -> Fixed:
    """quantize_error of ``numerator / denominator``, whose common factor does not count."""
    if denominator is None and bits > 1:
        largest = int(np.abs(numerator).max())
        power = nearest_power(Fraction(largest)) if largest else 0
        return quantized(Fixed(numerator, power), bits)
    below = np.ones_like(numerator) if denominator is None else denominator
    values = [Fraction(int(n), int(d)) for n, d in zip(numerator.ravel(), below.ravel(), strict=True)]
    largest = max(map(abs, values))
    power, high = nearest_power(largest) if largest else 0, 2 ** (bits - 1) - 1
    if bits == 1:
        codes = [-1 if value < 0 else 1 for value in values]
    else:
        scaled = (round(value * Fraction(2) ** (bits - 1 - power)) for value in values)
        codes = [min(high, max(-high, code)) for code in scaled]
    return Fixed(np.array(codes, np.int64).reshape(numerator.shape), bits - 1)


class Cell(NamedTuple):
    """Neurons and widths. Decays are (numerator, exponent): 3/4 is (3, 2); ``synapse`` of None: there is none."""

    synapse: tuple[int, int] | None
    membrane: tuple[int, int]
    threshold: Fraction
    slope: int
    synapse_bits: int
    membrane_bits: int
    error_bits: int
    threshold_mask: bool
    surrogate_bits: int | None = None

    def entries(self, codes: np.ndarray) -> np.ndarray:
        """``rint(2^surrogate_bits / (slope * |v_thr| + 1)^2)`` for codes of v_thr."""
        unit, bits = 2 ** (self.membrane_bits - 1), self.surrogate_bits or 0
        rounded = {
            int(c): round(Fraction(2**bits * unit**2, (self.slope * abs(int(c)) + unit) ** 2)) for c in np.unique(codes)
        }
        return np.vectorize(rounded.__getitem__, otypes=[np.int64])(codes)

    def distance(self, membrane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes of v_thr, and whether they are in range."""
        above, below = self.threshold.numerator, self.threshold.denominator
        unit, high = 2 ** (self.membrane_bits - 1), 2 ** (self.membrane_bits - 1) - 1
        exact = [Fraction(int(code) * below - above * unit, below) for code in membrane.ravel()]
        codes = [min(high, max(-high, round(value))) for value in exact]
        shape = membrane.shape
        return np.array(codes).reshape(shape), np.array([abs(value) <= high for value in exact]).reshape(shape)


class Layer(NamedTuple):
    """``kind``: dense, recurrent or conv; weights as `Fixed` with their attenuation; ``place``: stride, padding, pooling."""

    kind: str
    weight: Fixed
    cell: Cell
    recurrent: Fixed | None = None
    place: tuple[int, int, int] = (1, 0, 1)


class Pass(NamedTuple):
    """What a layer did, by step: states before it in codes, raw states, spikes, and what the next layer sees."""

    x: np.ndarray
    membrane: np.ndarray
    raw_synapse: list[Fixed]
    raw_membrane: list[Fixed]
    spikes: np.ndarray
    output: np.ndarray


def _patches(x: np.ndarray, side: int, stride: int, padding: int) -> np.ndarray:
    """(S, C, H, W) to (S, C, H', W', k, k)."""
    around = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    return sliding_window_view(around, (side, side), (2, 3))[:, :, ::stride, ::stride]


def arriving(layer: Layer, x: np.ndarray) -> np.ndarray:
    """Codes of the current of one step, (B, ...) as the neurons lie."""
    if layer.kind != "conv":
        return x.reshape(len(x), -1) @ layer.weight.codes
    stride, padding, _ = layer.place
    return np.einsum("schwij,ocij->sohw", _patches(x, layer.weight.codes.shape[2], stride, padding), layer.weight.codes)


def _times(decay: tuple[int, int], state: Fixed) -> Fixed:
    return Fixed(state.codes * decay[0], state.exponent + decay[1])


def forward(layer: Layer, x: np.ndarray) -> Pass:
    """From rest, input spikes (T, B, ...)."""
    cell, first = layer.cell, arriving(layer, x[0])
    none = np.zeros_like(first)
    syn, mem, last = Fixed(none, cell.synapse_bits - 1), Fixed(none, cell.membrane_bits - 1), none
    done: list[list] = [[] for _ in range(5)]
    for step in x:
        current = Fixed(arriving(layer, step), layer.weight.exponent)
        if layer.recurrent is not None:
            current = add(current, Fixed(last @ layer.recurrent.codes, layer.recurrent.exponent))
        last = (cell.distance(mem.codes)[0] > 0).astype(np.int64)
        raw_syn = current if cell.synapse is None else add(_times(cell.synapse, syn), current)
        raw_mem = add(add(_times(cell.membrane, mem), current if cell.synapse is None else syn), Fixed(-last, 0))
        output = last
        if layer.place[2] > 1:
            place = winners(mem.codes, layer.place[2])
            output = np.take_along_axis(last.reshape(*last.shape[:2], -1), place.reshape(*place.shape[:2], -1), 2)
            output = output.reshape(place.shape)
        for record, value in zip(done, (mem.codes, raw_syn, raw_mem, last, output), strict=True):
            record.append(value)
        mem, syn = (
            quantized(raw_mem, cell.membrane_bits),
            syn if cell.synapse is None else quantized(raw_syn, cell.synapse_bits),
        )
    return Pass(x, np.array(done[0]), done[1], done[2], np.array(done[3]), np.array(done[4]))


def current_errors(layer: Layer, done: Pass, grad: Fixed) -> Fixed:
    """Errors of every step's current, from the gradient at the spikes (T, B, ...) before pooling."""
    cell, steps = layer.cell, len(done.x)
    bits, zero = cell.error_bits, np.zeros_like(done.spikes[0])
    g_mem, g_syn, found = zero, zero, [zero] * steps
    for t in reversed(range(steps)):
        g_s = Fixed(grad.codes[t], grad.exponent)
        if layer.recurrent is not None and t + 1 < steps:
            weight = layer.recurrent
            g_s = add(g_s, Fixed(found[t + 1] @ weight.codes.T, bits - 1 + weight.exponent))
        codes, passing = cell.distance(done.membrane[t])
        if cell.surrogate_bits is None:
            found_thr = error(g_s.codes, bits, (cell.slope * np.abs(codes) + 2 ** (cell.membrane_bits - 1)) ** 2)
        else:
            found_thr = error(g_s.codes * cell.entries(codes), bits)
        e_thr = found_thr.codes * (passing if cell.threshold_mask else 1)
        e_mem = error(g_mem, bits).codes * within(done.raw_membrane[t], cell.membrane_bits)
        g_mem = cell.membrane[0] * e_mem + (e_thr << cell.membrane[1])
        if cell.synapse is None:
            found[t] = e_mem
            continue
        found[t] = error(g_syn, bits).codes * within(done.raw_synapse[t], cell.synapse_bits)
        g_syn = cell.synapse[0] * found[t] + (e_mem << cell.synapse[1])
    return Fixed(np.array(found), bits - 1)


class Gradients(NamedTuple):
    """Of one layer: the errors e_h, and codes of its weight gradients, whose exponent is that of the errors."""

    errors: Fixed
    weight: np.ndarray
    recurrent: np.ndarray | None


def unpooled(layer: Layer, done: Pass, grad: Fixed) -> Fixed:
    """The gradient at the neurons' spikes: the winner has all of its window's."""
    if layer.place[2] == 1:
        return Fixed(grad.codes.reshape(done.spikes.shape), grad.exponent)
    flat = np.zeros((*done.spikes.shape[:3], done.spikes[0, 0, 0].size), np.int64)
    for t, codes in enumerate(grad.codes):
        place = winners(done.membrane[t], layer.place[2])
        np.put_along_axis(flat[t], place.reshape(*place.shape[:2], -1), codes.reshape(*place.shape[:2], -1), 2)
    return Fixed(flat.reshape(done.spikes.shape), grad.exponent)


def backward(layer: Layer, done: Pass, grad: Fixed) -> tuple[Gradients, Fixed]:
    """Gradients of a layer, and that at its input, from the one at its output."""
    found = current_errors(layer, done, unpooled(layer, done, grad))
    e_h = error(found.codes, layer.cell.error_bits)
    exponent = e_h.exponent + layer.weight.exponent
    steps, batch = done.x.shape[:2]
    if layer.kind != "conv":
        flat = done.x.reshape(steps, batch, -1)
        weight = np.einsum("tbi,tbn->in", flat, e_h.codes)
        recurrent = None if layer.recurrent is None else np.einsum("tbi,tbn->in", done.spikes[:-1], e_h.codes[1:])
        back = (e_h.codes @ layer.weight.codes.T).reshape(done.x.shape)
        return Gradients(e_h, weight, recurrent), Fixed(back, exponent)
    (stride, padding, _), side = layer.place, layer.weight.codes.shape[2]
    samples, errors = done.x.reshape(-1, *done.x.shape[2:]), e_h.codes.reshape(-1, *e_h.codes.shape[2:])
    weight = np.einsum("schwij,sohw->ocij", _patches(samples, side, stride, padding), errors)
    back = np.pad(np.zeros_like(samples), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    for i, j in np.ndindex(side, side):
        rows, columns = (
            slice(start, start + stride * n, stride) for start, n in zip((i, j), errors.shape[2:], strict=True)
        )
        back[:, :, rows, columns] += np.einsum("sohw,oc->schw", errors, layer.weight.codes[:, :, i, j])
    height, width = samples.shape[2:]
    inside = back[:, :, padding : padding + height, padding : padding + width]
    return Gradients(e_h, weight, None), Fixed(inside.reshape(done.x.shape), exponent)


def integer_net(layers: list[Layer], x: np.ndarray, wanted: np.ndarray) -> tuple[list[Pass], list[Gradients]]:
    """All layers, input first, forward and back with spike_count: ``wanted`` counts (B, K)."""
    return integer_pass(layers, x, lambda spikes: np.broadcast_to(spikes.sum(0) - wanted, spikes.shape))


def integer_pass(
    layers: list[Layer], x: np.ndarray, loss: Callable[[np.ndarray], np.ndarray]
) -> tuple[list[Pass], list[Gradients]]:
    """All layers, input first, forward and back; ``loss``: from output spikes (T, B, K) to the gradient there, integers."""
    passes: list[Pass] = []
    for layer in layers:
        passes.append(forward(layer, passes[-1].output if passes else x))
    grad, found = Fixed(loss(passes[-1].spikes), 0), []
    for layer, done in zip(reversed(layers), reversed(passes), strict=True):
        gradients, grad = backward(layer, done, grad)
        found.append(gradients)
    return passes, found[::-1]
