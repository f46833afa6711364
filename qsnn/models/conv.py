"""Convolutional nets as an option: the geometry of each layer."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from qsnn.data.words import MAPS
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.kernels.backend import Backend
from qsnn.models.building import Start, layer_names, neurons_of, output_layer, spiking_convolution
from qsnn.models.geometry import BACKPROPAGATED, LOCAL, Geometry, Shape, local_names, output_shapes
from qsnn.models.spiking_net import SpikingNet
from qsnn.options import MAX_FACTOR, Option, impossible, key, option
from qsnn.quantization.bit_widths import BitWidths

LISTS = ("kernel_size", "padding", "pooling", "stride")


@option("model", "conv")
@dataclass
class Conv(Option):
    """Convolutions with pooling, one entry for each layer or one for all; the defaults are the net of [ICONS]."""

    gives: ClassVar[frozenset[str]] = frozenset({BACKPROPAGATED, LOCAL})
    needs: ClassVar[frozenset[str]] = frozenset({MAPS})

    channels: list[int] = key([64, 128, 128], "output channels", "", "64/128/128, fixed", at_least=1, at_most=100_000)
    kernel_size: list[int] = key([7], "side of the square kernel", "pixels", "7, fixed", at_least=1, at_most=100_000)
    padding: list[int] = key([2], "zeros around the maps", "pixels", "2, fixed", at_least=0, at_most=100_000)
    pooling: list[int] = key(
        [2, 1, 2], "side of the pooling window", "pixels", "2/1/2, fixed", at_least=1, at_most=100_000
    )
    stride: list[int] = key(
        [1],
        "pixels from one place of the kernel to the next",
        "pixels",
        at_least=1,
        at_most=100_000,
    )
    fan_in: int | None = key(
        None, "inputs that initialisation assumes in every layer; null: each layer's own", at_least=1, at_most=1_000_000
    )
    init_beta: float | None = key(
        1.5,
        "initial weights reach beta / 2^(weight_bits-1); null: 2^(weight_bits-1) - 0.5, the whole range (local learning: 1.5)",
        "",
        "global_beta",
        above=0,
        at_most=MAX_FACTOR,
    )

    def problems(self) -> Iterator[str]:
        """No layer, or lists of different lengths."""
        if not self.channels:
            yield impossible("model.channels", self.channels, "give one entry for each layer, at least one")
        for name in LISTS:
            if len(getattr(self, name)) not in (1, len(self.channels)):
                more = f", or {len(self.channels)}, as many as model.channels" if len(self.channels) > 1 else ""
                wanted = f"it needs 1 entry{more}"
                yield impossible(f"model.{name}", getattr(self, name), wanted)

    def num_layers(self, with_output: bool) -> int:
        """How many layers the net has, with an output layer behind these or without."""
        return len(self.channels) + with_output

    def geometries(self) -> list[Geometry]:
        """The convolutions."""
        num, lists = len(self.channels), [getattr(self, name) for name in LISTS]
        one_a_layer = [values * num if len(values) == 1 else values for values in lists]
        return [Geometry(*layer) for layer in zip(self.channels, *one_a_layer, strict=True)]

    def input_maps(self, maps: Shape) -> Shape:
        """What the first layer sees of maps (C, H, W): the maps."""
        return maps

    def check_inputs(self, inputs: Shape, with_output: bool) -> None:
        """Raise ConfigError if a layer would make no maps of ``inputs`` (C, H, W)."""
        names = [*layer_names(len(self.channels))[:-1]] if with_output else local_names(len(self.channels))
        output_shapes(inputs, self.geometries(), names)

    def build_spiking(
        self, inputs: Sequence[int], num_outputs: int, neuron: Any, bits: BitWidths,
        integrator: IntegratorParameters | None, seed: int, backend: Backend,
    ) -> SpikingNet:  # fmt: skip
        """The net for ``inputs`` (C, H, W): these convolutions, and a fully connected output layer. Raises ConfigError for
        widths that do not fit it, or if nothing is left of the maps."""
        geometries, maps = self.geometries(), (inputs[0], inputs[1], inputs[2])
        names, widths = layer_names(len(geometries)), bits.by_layer(len(geometries) + 1)
        shapes = [maps, *output_shapes(maps, geometries, names)]
        neurons = neurons_of(neuron, widths)
        start = Start(self.fan_in, self.init_beta, seed, backend)
        layers = {
            name: spiking_convolution(start, name, *arguments)
            for name, *arguments in zip(names, shapes, geometries, widths, neurons, strict=False)
        }
        output = output_layer(start, math.prod(shapes[-1]), num_outputs, widths[-1], neurons[-1], integrator)
        return SpikingNet({**layers, "output": output})
