"""The shape of a layer, and what kinds of layers a model can give."""

from typing import NamedTuple

Shape = tuple[int, int, int]
DENSE = "fully connected layers"
CONVOLUTIONS = "convolutions"


class Geometry(NamedTuple):
    """One layer: output ``channels`` of a ``kernel_size`` square convolution with ``padding``, pooled by ``pooling``."""

    channels: int
    kernel_size: int
    padding: int
    pooling: int

    def output_shape(self, inputs: Shape) -> Shape:
        """(C, H, W) after pooling; 0 or less where the input is too small."""
        _, *sides = inputs
        height, width = ((n + 2 * self.padding - self.kernel_size + 1) // self.pooling for n in sides)
        return self.channels, height, width
