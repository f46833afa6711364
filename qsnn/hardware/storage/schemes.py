"""Bits that a layer's weights take in each scheme, and what a step reads and writes of them.

I inputs, N neurons, S synapses, Z of them with a code that is not zero, codes of b bits. Pointers have p = ceil(log2(Z + 1))
bits, indices of columns c = ceil(log2(N)).

    crossbar     I * N * b                   every pair has a place, connected or not
    pb_bmp       I * p + I * N + Z * b       pointer to a row's first code, a bit a column, codes that are not zero
    pb_csr       (I + 1) * p + Z * (c + b)   pointers to where rows begin and end, an index beside each code that is not zero
    functional   kernels * b                 a convolution's kernels, once; connectivity is arithmetic. Dense: a crossbar
    pb_signs     I * p + I * N + Z           pb_bmp of 2 bits, where codes that are not zero are +1 and -1: the sign is enough

An *access* is of one code, one pointer, one index with its code, or one word of ``word_bits`` of a bitmap: a memory as wide as
what it holds. The *bits* that move are counted beside it: what a memory that reads many codes at once would be charged for.

A step, with rates r of the inputs' spikes and a share e of neurons with an error that is not zero:

    forward    rows of inputs that spiked: N codes; pointer, bitmap and the row's codes; two pointers and the row's entries;
               or the codes of its synapses
    backward   the transpose: an input's error is its row times the neurons' errors. Rows follow one another, so that bitmaps
               need no pointers; indices are read all, codes only where the error is not zero
    update     codes read and written, connectivity as it is: rows of inputs that spiked; of a convolution all, since its
               kernels change everywhere, and in functional storage each kernel once
    repack     beside the update, where zero codes come or go: all is read and written anew
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qsnn.hardware.storage.synapses import Synapses

SCHEMES = ("crossbar", "pb_bmp", "pb_csr", "functional")
SIGNS = "pb_signs"
KINDS = ("forward", "backward", "update", "repack")
WORD_BITS = 64


class Access(NamedTuple):
    """Accesses and bits of a step, means where spikes or errors are rates."""

    accesses: float
    bits: float

    def __add__(self, other: object) -> "Access":
        return Access(self.accesses + other.accesses, self.bits + other.bits) if isinstance(other, Access) else self


class Rates(NamedTuple):
    """``spikes`` an input and step, one number or (I,); ``errors``: share of neurons with an error; ``word_bits``: of an
    access to a bitmap."""

    spikes: float | NDArray[np.float64] = 1.0
    errors: float = 1.0
    word_bits: int = WORD_BITS


def pointer_bits(nonzero: int) -> int:
    """p: of a place among so many codes, or behind the last."""
    return nonzero.bit_length()


def index_bits(neurons: int) -> int:
    """c: of a column."""
    return (neurons - 1).bit_length()


def code_bits(scheme: str, bits: int) -> int:
    """Of a stored code."""
    return 1 if scheme == SIGNS else bits


def schemes_of(layer: Synapses) -> tuple[str, ...]:
    """The schemes that a layer can have; pb_signs of 2 bits alone."""
    return (*SCHEMES, SIGNS) if layer.bits == 2 else SCHEMES


def storage_bits(layer: Synapses, scheme: str) -> int:
    """See above."""
    pointer, count = pointer_bits(layer.num_nonzero), layer.num_nonzero
    pairs = layer.inputs * layer.neurons
    if scheme == "pb_csr":
        return (layer.inputs + 1) * pointer + count * (index_bits(layer.neurons) + layer.bits)
    if scheme in ("pb_bmp", SIGNS):
        return layer.inputs * pointer + pairs + count * code_bits(scheme, layer.bits)
    return (layer.kernels if scheme == "functional" and layer.kernels else pairs) * layer.bits


def accesses(layer: Synapses, scheme: str, kind: str, rates: Rates) -> Access:
    """Of a step; ``kind``: one of `KINDS`. Without errors to carry, as the first layer of a net, there is no
    backward pass."""
    if kind == "repack":
        return _repack(layer, scheme, rates)
    if kind == "backward":
        found = _rows(layer, scheme, rates, np.ones(layer.inputs), sought=False, codes=rates.errors)
        return found if layer.carries_errors else Access(0.0, 0.0)
    spiked = np.broadcast_to(np.asarray(rates.spikes, dtype=np.float64), (layer.inputs,))
    if kind == "forward":
        return _rows(layer, scheme, rates, spiked, sought=True, codes=1.0)
    if not layer.kernels:
        return _rows(layer, scheme, rates, spiked, sought=True, codes=2.0)
    if scheme == "functional":
        return Access(2.0 * layer.kernels, 2.0 * layer.kernels * layer.bits)
    return _rows(layer, scheme, rates, np.ones(layer.inputs), sought=False, codes=2.0)


def _rows(
    layer: Synapses, scheme: str, rates: Rates, visits: NDArray[np.float64], *, sought: bool, codes: float
) -> Access:
    """``visits`` of each row, where each of its codes is touched ``codes`` times; ``sought``: by pointers."""
    touched = {"crossbar": np.full(layer.inputs, layer.neurons), "functional": layer.connected}.get(
        scheme, layer.nonzero
    )
    num = float(visits @ touched)
    found = Access(codes * num, codes * num * code_bits(scheme, layer.bits))
    pointer, rows = pointer_bits(layer.num_nonzero), float(visits.sum())
    if scheme in ("pb_bmp", SIGNS):
        words = -(-layer.neurons // rates.word_bits)
        found += Access(rows * (words + sought), rows * (layer.neurons + sought * pointer))
    if scheme == "pb_csr":
        # A row's end is the next one's beginning. An index is one access with its code, and one by itself beside no code.
        ends = 2 * rows if sought else layer.inputs + 1
        found += Access(ends + max(0.0, 1 - codes) * num, ends * pointer + num * index_bits(layer.neurons))
    return found


def _repack(layer: Synapses, scheme: str, rates: Rates) -> Access:
    if scheme in ("crossbar", "functional"):
        return Access(0.0, 0.0)
    words = layer.inputs * -(-layer.neurons // rates.word_bits) if scheme != "pb_csr" else 0
    pointers = layer.inputs + (scheme == "pb_csr")
    return Access(2.0 * (pointers + words + layer.num_nonzero), 2.0 * storage_bits(layer, scheme))
