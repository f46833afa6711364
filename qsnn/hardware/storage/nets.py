"""The codes of a net's weights, layer by layer, as synapses."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qsnn.hardware.storage.synapses import Sliding, Synapses, convolution, dense
from qsnn.layers.activity import Layer
from qsnn.layers.convolution import SpikingConvolution
from qsnn.models.local_net import LocalNet
from qsnn.models.spiking_net import SpikingNet
from qsnn.quantization import quantize, symmetric, to_codes
from qsnn.quantization.bit_widths import FULL_PRECISION_BITS

RECURRENT = " recurrent"
"""What the name of a layer's recurrent weights ends with."""


def codes_of(weight: Tensor, bits: int | None) -> NDArray[Any]:
    """The integer codes that products read; of full precision the numbers themselves."""
    fmt = symmetric(bits)
    weight = weight.detach().cpu()
    return weight.numpy() if fmt is None else to_codes(quantize(weight, fmt), fmt).numpy()


def synapses_of_net(net: SpikingNet | LocalNet, inputs: tuple[int, ...]) -> dict[str, Synapses]:
    """By layer, input first, and ``<layer> recurrent``; ``inputs``: shape of a sample's input in a step. Errors go back through
    all but the first layer's weights, and through none of a net that learns locally."""
    if isinstance(net, LocalNet):
        return {name: _local(layer) for name, layer in net.layers.items()}
    found: dict[str, Synapses] = {}
    for name, layer in net.layers.items():
        found |= {f"{name}{part}": of for part, of in _parts(layer, inputs, first=not found)}
        inputs = layer.output_shape
    return found


def _local(layer: Any) -> Synapses:
    bits = layer.settings.weight_bits
    sliding = Sliding(tuple(layer.tau_mem.shape), layer.weight.shape[-1], padding=layer.settings.padding)
    return convolution(codes_of(layer.weight, bits), bits or FULL_PRECISION_BITS, sliding, carries_errors=False)


def _parts(layer: Layer, inputs: tuple[int, ...], first: bool) -> Iterator[tuple[str, Synapses]]:
    for part, stored in layer.weights().items():
        codes, bits = codes_of(stored.weight, stored.weight_bits), stored.weight_bits or FULL_PRECISION_BITS
        recurrent = part == "recurrent_weight"
        carries = recurrent or not first
        if isinstance(layer, SpikingConvolution):
            channels, height, width = inputs
            kernels = layer.convolution
            sliding = Sliding((channels, height, width), codes.shape[-1], kernels.stride, kernels.padding)
            yield "", convolution(codes, bits, sliding, carries)
        else:
            yield RECURRENT if recurrent else "", dense(np.asarray(codes), bits, carries)
