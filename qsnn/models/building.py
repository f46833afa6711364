"""Layers with fresh weights: drawn from streams of their own, of the size that their inputs and widths call for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from qsnn.dynamics import NeuronParameters
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.kernels.backend import Backend
from qsnn.layers import QuantizedLinear, SpikingLinear
from qsnn.layers.convolution import QuantizedConvolution, SpikingConvolution
from qsnn.layers.integrating_linear import IntegratingLinear
from qsnn.layers.recurrent import RecurrentLinear
from qsnn.models.geometry import Geometry, Shape
from qsnn.quantization import initial_weights, random_stream, weight_init
from qsnn.quantization.bit_widths import BitWidths


class Start(NamedTuple):
    """How a net's weights start (`weight_init`): ``fan_in`` is the inputs that initialisation assumes in every layer, None for
    each layer's own; every tensor is drawn from the stream ``<layer>.<part>/init`` of ``seed``. ``init_range``: w_min itself,
    in place of what ``init_beta`` makes of it."""

    fan_in: int | None
    init_beta: float | None
    seed: int
    backend: Backend
    init_range: float | None = None


def layer_names(num_hidden_layers: int) -> list[str]:
    """``hidden`` and ``output``; ``hidden1``, ``hidden2``, ... and ``output`` if several are hidden."""
    if num_hidden_layers == 1:
        return ["hidden", "output"]
    return [*(f"hidden{number + 1}" for number in range(num_hidden_layers)), "output"]


def _fresh(start: Start, name: str, shape: tuple[int, ...], inputs: int, bits: BitWidths) -> tuple[Tensor, float]:
    """Weights and attenuation of a tensor with so many ``inputs`` to each neuron."""
    fan_in = inputs if start.fan_in is None else start.fan_in
    init = weight_init(fan_in, bits.weight_bits, start.init_beta, bits.gradient_bits is not None, start.init_range)
    stream = random_stream(start.seed, f"{name}/init")
    return initial_weights(stream, shape, init.limit, bits.initial_bits), init.scale


def neurons_of(neuron: Any, widths: Sequence[BitWidths]) -> list[Any]:
    """The neurons of every layer, in integer arithmetic with a table for their surrogate; ``neuron``: the option."""
    built = [neuron.build(bits.synapse_bits, bits.membrane_bits, bits.error_bits) for bits in widths]
    return [
        one._replace(surrogate_bits=bits.surrogate_bits) if bits.integer else one
        for one, bits in zip(built, widths, strict=True)
    ]


def _linear(start: Start, name: str, inputs: int, outputs: int, bits: BitWidths) -> QuantizedLinear:
    weight, scale = _fresh(start, name, (inputs, outputs), inputs, bits)
    return QuantizedLinear(weight, scale, bits.weight_bits, bits.error_bits, start.backend)


def spiking_linear(
    start: Start, name: str, inputs: int, outputs: int, bits: BitWidths, neuron: NeuronParameters
) -> SpikingLinear:
    """A fully connected layer."""
    weight, scale = _fresh(start, f"{name}.weight", (inputs, outputs), inputs, bits)
    return SpikingLinear(weight, scale, bits.weight_bits, neuron, start.backend)


def integrating_linear(
    start: Start, name: str, inputs: int, outputs: int, bits: BitWidths, integrator: IntegratorParameters
) -> IntegratingLinear:
    """A membrane readout."""
    return IntegratingLinear(_linear(start, f"{name}.weight", inputs, outputs, bits), integrator)


def output_layer(
    start: Start,
    inputs: int,
    outputs: int,
    bits: BitWidths,
    neuron: NeuronParameters,
    integrator: IntegratorParameters | None,
) -> nn.Module:
    """The layer ``output``: it spikes, unless it is to be an ``integrator``."""
    if integrator is not None:
        return integrating_linear(start, "output", inputs, outputs, bits, integrator)
    return spiking_linear(start, "output", inputs, outputs, bits, neuron)


def recurrent_linear(
    start: Start, name: str, inputs: int, neurons: int, bits: BitWidths, neuron: NeuronParameters
) -> RecurrentLinear:
    """A fully connected layer with recurrent weights, whose own fan-in is the layer's size."""
    linear = _linear(start, f"{name}.weight", inputs, neurons, bits)
    return RecurrentLinear(linear, _linear(start, f"{name}.recurrent_weight", neurons, neurons, bits), neuron)


def spiking_convolution(
    start: Start, name: str, inputs: Shape, geometry: Geometry, bits: BitWidths, neuron: NeuronParameters
) -> SpikingConvolution:
    """A convolution over maps of shape ``inputs`` (C, H, W), which must leave something of them."""
    shape = (geometry.channels, inputs[0], geometry.kernel_size, geometry.kernel_size)
    weight, scale = _fresh(start, f"{name}.weight", shape, inputs[0] * geometry.kernel_size**2, bits)
    convolution = QuantizedConvolution(
        weight, scale, geometry.stride, geometry.padding, bits.weight_bits, bits.error_bits, start.backend
    )
    return SpikingConvolution(convolution, geometry.neurons(inputs), geometry.pooling, neuron, start.backend)
