"""How many connections a spike meets: by the place in a layer's input from which it comes, borders of maps included.

A dense layer sends every spike to all N neurons, a convolution to those of its O maps within whose kernel the place lies, fewer
at a border; recurrent weights send a neuron's own spike to all neurons of its layer. ``<layer>.input``, ``<layer>.recurrent``:
the two ways on which spikes arrive at a layer.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.grad import conv2d_input

from qsnn.layers.convolution import SpikingConvolution
from qsnn.layers.integer_local_layer import IntegerLocalLayer
from qsnn.layers.integrating_linear import IntegratingLinear
from qsnn.layers.local_layer import LocalLayer
from qsnn.layers.recurrent import RecurrentLinear
from qsnn.layers.spiking_linear import SpikingLinear
from qsnn.models.local_net import LocalNet
from qsnn.quantization import quantize, symmetric

WAYS = {"weight": "input", "recurrent_weight": "recurrent"}
"""By which way spikes reach a part of a layer's weights."""


KNOWN = (SpikingLinear, RecurrentLinear, IntegratingLinear, SpikingConvolution, LocalLayer, IntegerLocalLayer)
"""Layers whose connections are known."""


def knows(net: Any) -> bool:
    """Whether all layers are; those of another package need not be."""
    return all(type(layer) in KNOWN for layer in net.layers.values())


def fan_outs(net: Any, inputs: tuple[int, ...], live: bool = False) -> dict[str, Tensor]:
    """By way: connections of each place of the input, (I) float64, in the order of the flat input.

    ``inputs``: shape of a sample's input in a step; ``live``: only those whose quantized weight is not 0.
    """
    found = {}
    for name, layer in net.layers.items():
        for part, weight in _quantized(net, layer):
            there = ((weight != 0) if live else torch.ones_like(weight)).double()
            found[f"{name}.{WAYS[part]}"] = _fan_out(layer, there, inputs)
        inputs = layer.pooled_shape() if isinstance(net, LocalNet) else layer.output_shape
    return found


def num_weights(net: Any) -> dict[str, tuple[int, int]]:
    """By way: how many weights there are, and how many of them are 0 once they are quantized."""
    return {
        f"{name}.{WAYS[part]}": (weight.numel(), int((weight == 0).sum()))
        for name, layer in net.layers.items()
        for part, weight in _quantized(net, layer)
    }


def _quantized(net: Any, layer: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(net, LocalNet):
        yield "weight", quantize(layer.weight.detach(), symmetric(layer.settings.weight_bits)).cpu()
    else:
        for part, stored in layer.weights().items():
            yield part, stored.quantized_weight().cpu()


def _fan_out(layer: Any, there: Tensor, inputs: tuple[int, ...]) -> Tensor:
    """(I) of weights (I, N), or (O, C, k, k) over maps ``inputs`` (C, H, W)."""
    if there.dim() == 2:
        return there.sum(1)
    stride = 1
    if isinstance(layer, SpikingConvolution):
        stride, padding, maps = layer.convolution.stride, layer.convolution.padding, layer.maps
    else:
        padding, maps, inputs = layer.settings.padding, layer.output_shape(), tuple(layer.tau_mem.shape)
    ones = torch.ones(1, *maps, dtype=torch.float64)
    return conv2d_input((1, *inputs), there, ones, stride=stride, padding=padding).flatten()
