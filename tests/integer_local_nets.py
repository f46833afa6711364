"""Training steps of local learning in whole numbers: numpy int64 codes, no floats, no torch, no qsnn.

The equations are those of NUMERICS section 4 with the integer definitions of section 6; what follows from time constants and
formats comes as integers, as an exporter would write it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

GAMMA = np.uint64(0x9E3779B97F4A7C15)


class Stream:
    """SplitMix64 by counter; numpy's uint64 wraps as it must."""

    def __init__(self, key: int) -> None:
        self.key, self.position = key, 0

    def draw(self, count: int, bits: int) -> np.ndarray:
        z = np.uint64(self.key) + (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(self.position)) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        self.position += count
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(64 - bits)).astype(np.int64)


class Widths(NamedTuple):
    p: int
    q: int
    r: int
    u: int
    w: int
    z: int
    g: int
    e: int
    a: int
    n: int
    rng: int


@dataclass
class Constants:
    """Integers that are fixed when the net is built."""

    widths: Widths
    p1: np.ndarray
    p2: np.ndarray
    q1: np.ndarray
    q2: np.ndarray
    k: int
    u1: int
    u2: int
    b1: int
    b2: int
    subtracted: list[int]
    after: list[list[int]]
    sigmoid: list[int]
    slope: list[int]
    readout: np.ndarray
    feedback: np.ndarray
    readout_shift: int
    l1: int
    l2: int
    padding: int
    pooling: int
    log_eta: int
    dropout: int


@dataclass
class Layer:
    """``weight`` (O, C, k, k) and ``bias`` (O): stored codes on the gradients' grid."""

    fixed: Constants
    weight: np.ndarray
    bias: np.ndarray
    streams: dict[str, Stream]
    p: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    q: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    r: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def highest(bits: int) -> int:
    return 1 if bits == 1 else 2 ** (bits - 1) - 1


def rint(x: np.ndarray, shift: int) -> np.ndarray:
    """``x 2^-shift``, half to even."""
    if shift <= 0:
        return x << -shift
    if shift > 62:
        return np.zeros_like(x)
    low, rest, half = x >> shift, x & ((1 << shift) - 1), 1 << (shift - 1)
    return low + ((rest > half) | ((rest == half) & (low & 1 == 1)))


def clamp(x: np.ndarray, bits: int) -> np.ndarray:
    return np.clip(x, -highest(bits), highest(bits))


def code(x: np.ndarray, shift: int, bits: int) -> np.ndarray:
    return np.where(x < 0, -1, 1) if bits == 1 else clamp(rint(x, shift), bits)


def power(largest: int) -> int:
    """The power of two nearest to a number on a log scale: 2 m^2 against powers of four."""
    if largest == 0:
        return 0
    exponent = 0
    while 4 ** (exponent + 1) < 2 * largest * largest:
        exponent += 1
    return exponent


def error(x: np.ndarray, largest: int, bits: int) -> np.ndarray:
    return code(x, power(largest) - (bits - 1), bits)


def convolve(maps: np.ndarray, weight: np.ndarray, padding: int) -> np.ndarray:
    padded = np.pad(maps, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    patches = sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", patches, weight)


def correlate(errors: np.ndarray, maps: np.ndarray, size: int, padding: int) -> np.ndarray:
    padded = np.pad(maps, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    return np.einsum("bohw,bchwij->ocij", errors, sliding_window_view(padded, (size, size), axis=(2, 3)))


def windows(maps: np.ndarray, side: int) -> np.ndarray:
    """(B, K, H', W', side * side)."""
    B, K, H, W = maps.shape
    cut = maps[:, :, : H // side * side, : W // side * side].reshape(B, K, H // side, side, W // side, side)
    return cut.transpose(0, 1, 2, 4, 3, 5).reshape(B, K, H // side, W // side, side * side)


def spread(at_winners: np.ndarray, where: np.ndarray, elsewhere: int, like: np.ndarray, side: int) -> np.ndarray:
    """Maps of the shape of ``like``: ``at_winners`` at place ``where`` of each window, all others ``elsewhere``."""
    maps = np.full(like.shape, elsewhere, np.int64)
    b, k, h, w = np.indices(where.shape)
    maps[b, k, h * side + where // side, w * side + where % side] = at_winners
    return maps


class Step(NamedTuple):
    u: np.ndarray
    pooled: np.ndarray
    where: np.ndarray
    readout: np.ndarray


def at_rest(layer: Layer, batch: int) -> None:
    shape, c = (batch, *layer.fixed.p1.shape), layer.fixed
    sides = [n + 2 * c.padding - layer.weight.shape[2] + 1 for n in shape[2:]]
    layer.p, layer.q = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    layer.r = np.zeros((batch, len(layer.weight), *sides), np.int64)


def forward(layer: Layer, x: np.ndarray) -> Step:
    c, half = layer.fixed, 1 << layer.fixed.k >> 1
    b = c.widths
    old = layer.q
    layer.q = np.clip((c.q1 * old + c.q2 * x + half) >> c.k, 0, 2**b.q - 1)
    layer.p = np.clip((c.p1 * layer.p + c.p2 * old + half) >> c.k, 0, 2**b.p - 1)
    weight, bias = (code(stored, b.n - b.w, b.w) for stored in (layer.weight, layer.bias))
    sums = convolve(layer.p, weight, c.padding)
    sums = sums + ((c.b1 * bias + (1 << c.b2 >> 1)) >> c.b2)[:, None, None]
    raw = c.u1 * sums - (np.array(c.subtracted)[layer.r] << (c.u2 - 8))
    u = np.where(raw < 0, -1, 1) if b.u == 1 else clamp((raw + (1 << c.u2 >> 1)) >> c.u2, b.u)
    layer.r = np.array(c.after)[(u >= 0).astype(int), layer.r]
    cut = windows(u, c.pooling)
    pooled, where = cut.max(-1), cut.argmax(-1)
    z = np.array(c.sigmoid)[pooled + highest(b.u)]
    answer = code(z.reshape(len(z), -1) @ c.readout.T, c.readout_shift, b.a)
    return Step(u, pooled, where, answer)


def learn(layer: Layer, step: Step, target: np.ndarray, mask: np.ndarray) -> None:
    c, b = layer.fixed, layer.fixed.widths
    difference = ((step.readout + 2 ** (b.a - 1)) * mask - 2**b.a * target) * mask
    e_r = error(difference, int(np.abs(difference).max()), b.e)
    back = (e_r @ c.feedback).reshape(step.pooled.shape)
    e = error(back, int(np.abs(back).max()), b.e)
    l1 = (2 * c.l1 + e.size) // (2 * e.size)
    low = 80 * int(step.u.sum()) < step.u.size << (b.u - 1)
    l2 = -((2 * c.l2 + step.u.size) // (2 * step.u.size)) if low else 0
    g = ((e << 8) + l1) * np.array(c.slope)[step.pooled + highest(b.u)] + l2
    largest = max(int(np.abs(g).max()), abs(l2) if step.u.size > e.size else 0)
    rest = int(error(np.array([l2]), largest, b.e)[0])
    e_u = spread(error(g, largest, b.e), step.where, rest, step.u, c.pooling)
    changes = {"weight": correlate(e_u, layer.p, layer.weight.shape[2], c.padding), "bias": e_u.sum((0, 2, 3))}
    for name, change in changes.items():
        stored = getattr(layer, name)
        random = layer.streams[name].draw(change.size, b.rng).reshape(change.shape)
        scaled = rint(np.abs(change), power(int(np.abs(change).max())) - c.log_eta - b.rng)
        moved = (scaled >> b.rng) + ((scaled & (2**b.rng - 1)) > random)
        setattr(layer, name, np.clip(stored - np.sign(change) * moved, -highest(b.n), highest(b.n)))


def train(layers: list[Layer], x: np.ndarray, labels: np.ndarray, classes: int, burn_in: int) -> list[np.ndarray]:
    """Learn from a batch of spikes (T, B, C, H, W); each layer's votes (B, K)."""
    votes, target = [], (np.arange(classes) == labels[:, None]).astype(np.int64)
    count = (len(x) - burn_in) * len(labels) * classes
    masks = [
        (layer.streams["dropout"].draw(count, 24) >= layer.fixed.dropout).reshape(-1, len(labels), classes)
        for layer in layers
    ]
    for layer in layers:
        at_rest(layer, len(labels))
        votes.append(np.zeros((len(labels), classes), np.int64))
    for time, events in enumerate(x):
        spikes = events.astype(np.int64).reshape(len(labels), *layers[0].fixed.p1.shape)
        for number, layer in enumerate(layers):
            step = forward(layer, spikes)
            if time >= burn_in:
                votes[number][np.arange(len(labels)), step.readout.argmax(1)] += 1
                learn(layer, step, target, masks[number][time - burn_in].astype(np.int64))
            spikes = (step.pooled >= 0).astype(np.int64)
    return votes
