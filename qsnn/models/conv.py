"""Convolutional nets as an option: the geometry of each layer."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from qsnn.data.words import MAPS
from qsnn.models.geometry import CONVOLUTIONS, Geometry, Shape
from qsnn.options import MAX_FACTOR, Option, impossible, key, option


@option("model", "conv")
@dataclass
class Conv(Option):
    """Convolutions with pooling, one entry for each layer; the defaults are the net of [ICONS]."""

    gives: ClassVar[frozenset[str]] = frozenset({CONVOLUTIONS})
    needs: ClassVar[frozenset[str]] = frozenset({MAPS})

    channels: list[int] = key([64, 128, 128], "output channels", "", "64/128/128, fixed", at_least=1, at_most=100_000)
    kernel_size: list[int] = key(
        [7, 7, 7], "side of the square kernel", "pixels", "7, fixed", at_least=1, at_most=100_000
    )
    padding: list[int] = key([2, 2, 2], "zeros around the maps", "pixels", "2, fixed", at_least=0, at_most=100_000)
    pooling: list[int] = key(
        [2, 1, 2], "side of the pooling window", "pixels", "2/1/2, fixed", at_least=1, at_most=100_000
    )
    fan_in: int | None = key(
        None, "inputs that initialisation assumes in every layer; null: each layer's own", at_least=1, at_most=1_000_000
    )
    init_beta: float | None = key(
        1.5,
        "initial weights reach beta / 2^(weight_bits-1); null: 1.5 in local learning",
        "",
        "global_beta",
        above=0,
        at_most=MAX_FACTOR,
    )

    def problems(self) -> Iterator[str]:
        """No layer, or lists of different lengths."""
        if not self.channels:
            yield impossible("model.channels", self.channels, "give one entry for each layer, at least one")
        for name in ("kernel_size", "padding", "pooling"):
            if len(getattr(self, name)) != len(self.channels):
                wanted = f"it needs {len(self.channels)} entries, as many as model.channels"
                yield impossible(f"model.{name}", getattr(self, name), wanted)

    def num_layers(self, with_output: bool) -> int:
        """How many layers the net has, with an output layer behind these or without."""
        return len(self.channels) + with_output

    def geometries(self) -> list[Geometry]:
        """The layers."""
        lists = (self.channels, self.kernel_size, self.padding, self.pooling)
        return [Geometry(*layer) for layer in zip(*lists, strict=True)]

    def input_maps(self, maps: Shape) -> Shape:
        """What the first layer sees of maps (C, H, W): the maps."""
        return maps
