"""What a scheme of storage needs to know of a layer: which of its inputs is connected with which of its neurons, and where the
code is not zero.

A layer is a matrix of I inputs (rows) by N neurons (columns, before pooling). A dense one has I * N synapses; a convolution,
whose kernels every place shares, as many as reach a neuron, borders and stride counted.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


class Synapses(NamedTuple):
    """``bits``: of a code. By input, (I,): ``connected``, its synapses, and ``nonzero``, those whose code is not zero.
    ``kernels``: codes of a convolution that are stored once, 0 of a dense layer. ``carries_errors``: somebody needs
    the error at its input.
    """

    inputs: int
    neurons: int
    bits: int
    connected: Counts
    nonzero: Counts
    kernels: int = 0
    carries_errors: bool = True

    @property
    def num(self) -> int:
        """S: synapses."""
        return int(self.connected.sum())

    @property
    def num_nonzero(self) -> int:
        """Z: those whose code is not zero."""
        return int(self.nonzero.sum())

    @property
    def sparsity(self) -> float:
        """Share of synapses whose code is zero."""
        return 1 - self.num_nonzero / self.num if self.num else 0.0


class Sliding(NamedTuple):
    """Of a convolution: input (C, H, W), square kernels, zeros around the input."""

    inputs: tuple[int, int, int]
    kernel_size: int
    stride: int = 1
    padding: int = 0

    def outputs(self) -> tuple[int, int]:
        """(H', W')."""
        height, width = ((side + 2 * self.padding - self.kernel_size) // self.stride + 1 for side in self.inputs[1:])
        return height, width

    def reached(self, side: int) -> NDArray[np.int64]:
        """(H, k): 1 where an input's row meets a neuron by that row of the kernel; ``side`` 0 for rows, 1 for columns."""
        place = np.arange(self.inputs[1 + side])[:, None] + self.padding - np.arange(self.kernel_size)
        inside = (place >= 0) & (place % self.stride == 0) & (place // self.stride < self.outputs()[side])
        return inside.astype(np.int64)


def dense(codes: NDArray[Any], bits: int, carries_errors: bool = True) -> Synapses:
    """Of codes (I, N)."""
    inputs, neurons = codes.shape
    connected = np.full(inputs, neurons, dtype=np.int64)
    return Synapses(inputs, neurons, bits, connected, np.count_nonzero(codes, axis=1), carries_errors=carries_errors)


def convolution(codes: NDArray[Any], bits: int, sliding: Sliding, carries_errors: bool = True) -> Synapses:
    """Of kernels (O, C, k, k)."""
    nonzero = np.count_nonzero(codes, axis=0)
    return _sliding(nonzero, codes.shape[0], codes.size, bits, sliding, carries_errors)


def _sliding(
    nonzero: Counts, outputs: int, kernels: int, bits: int, sliding: Sliding, carries_errors: bool
) -> Synapses:
    """``nonzero`` (C, k, k): of the kernels' codes, over their outputs."""
    rows, columns = sliding.reached(0), sliding.reached(1)
    of_inputs = [np.einsum("yd,cde,xe->cyx", rows, of, columns) for of in (np.full_like(nonzero, outputs), nonzero)]
    height, width = sliding.outputs()
    connected, found = (of.ravel() for of in of_inputs)
    return Synapses(connected.size, outputs * height * width, bits, connected, found, kernels, carries_errors)


def evenly_sparse(layer: Synapses, sparsity: float) -> Synapses:
    """The layer with so large a share of zeros, as evenly among its inputs as whole numbers allow."""
    ends = np.rint(np.cumsum(layer.connected) * (1 - sparsity)).astype(np.int64)
    return layer._replace(nonzero=np.diff(ends, prepend=0))


def unrolled(kernels: NDArray[Any], sliding: Sliding) -> NDArray[Any]:
    """The matrix (I, N) of a convolution, by the arithmetic of indices that ``functional`` storage computes: input (c, y, x)
    meets neuron (o, y', x') by kernel place (y + padding - stride * y', x + padding - stride * x'), if there is such a one."""
    (channels, *sides), size = sliding.inputs, kernels.shape[-1]
    maps = sliding.outputs()
    matrix = np.zeros((channels, *sides, kernels.shape[0], *maps), dtype=kernels.dtype)
    for y, x in itertools.product(*map(range, maps)):
        for row, column in itertools.product(range(size), repeat=2):
            at = y * sliding.stride + row - sliding.padding, x * sliding.stride + column - sliding.padding
            if all(0 <= place < side for place, side in zip(at, sides, strict=True)):
                matrix[:, at[0], at[1], :, y, x] = kernels[:, :, row, column].T
    return matrix.reshape(channels * sides[0] * sides[1], -1)
