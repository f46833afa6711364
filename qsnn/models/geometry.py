"""The shape of a layer, and what kinds of layers a model can give."""

from typing import NamedTuple

from qsnn.errors import ConfigError

Shape = tuple[int, int, int]
BACKPROPAGATED = "layers that carry errors back through time"
LOCAL = "layers that learn locally"


def local_names(num_layers: int) -> list[str]:
    """Names of layers that learn locally: ``layer1``, ``layer2``, ..."""
    return [f"layer{number + 1}" for number in range(num_layers)]


class Geometry(NamedTuple):
    """One layer: output ``channels`` of a ``kernel_size`` square convolution with ``padding`` and ``stride``, pooled by
    ``pooling``."""

    channels: int
    kernel_size: int
    padding: int
    pooling: int
    stride: int = 1

    def neurons(self, inputs: Shape) -> Shape:
        """(C, H, W) before pooling; 0 or less where the input is too small."""
        height, width = ((n + 2 * self.padding - self.kernel_size) // self.stride + 1 for n in inputs[1:])
        return self.channels, height, width

    def output_shape(self, inputs: Shape) -> Shape:
        """(C, H, W) after pooling; 0 or less where the input is too small."""
        channels, height, width = self.neurons(inputs)
        return channels, height // self.pooling, width // self.pooling


def output_shapes(inputs: Shape, geometries: list[Geometry], names: list[str]) -> list[Shape]:
    """(C, H, W) of each layer's maps, pooled, for ``inputs`` (C, H, W). Raises ConfigError if nothing is left of them."""
    shapes = []
    for name, geometry in zip(names, geometries, strict=False):
        outputs = geometry.output_shape(inputs)
        if min(outputs) < 1:
            made = f"{max(0, outputs[1])} x {max(0, outputs[2])}"
            raise ConfigError(
                f"model: {name} gets maps of {inputs[1]} x {inputs[2]} and would make {made} of them; use a smaller "
                "model.kernel_size or model.pooling, a larger model.padding or a smaller dataset.downsample"
            )
        shapes.append(outputs)
        inputs = outputs
    return shapes
