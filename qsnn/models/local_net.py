"""Nets that learn locally: convolutional (the one of [ICONS]) and fully connected, of the same layers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qsnn.dynamics.refractory_lif import refractory_parameters
from qsnn.dynamics.trace_lif import TraceLIF
from qsnn.errors import ConfigError
from qsnn.kernels.backend import GradientRounding
from qsnn.kernels.integer_local_backend import INTEGER_LOCAL_EAGER, IntegerLocalBackend
from qsnn.kernels.local_backend import LocalBackend
from qsnn.layers.integer_local_layer import IntegerLocalLayer
from qsnn.layers.local_layer import LayerConstants, LayerState, LocalLayer, LocalLayerSettings
from qsnn.models.geometry import Geometry, Shape, local_names, output_shapes
from qsnn.models.spiking_net import check_same_shapes
from qsnn.quantization import quantize, random_stream, symmetric, uniform, weight_init
from qsnn.quantization.bit_widths import FULL_PRECISION_BITS, BitWidths


class LocalInit(NamedTuple):
    """How weights start, and the readout. ``weight_mult``: one for each layer; ``fan_in`` (None: each layer's own),
    ``init_beta``, ``init_range``, ``bias_gain``: `initial_tensors`; ``readout_amplitude``: `readout_scale`; ``l1``, ``l2``:
    regularisers."""

    weight_mult: list[float]
    fan_in: int | None
    init_beta: float
    bias_gain: float
    readout_amplitude: float
    l1: float
    l2: float
    init_range: float | None = None


def readout_scale(readout_weight_bits: int | None, amplitude: float, num_features: int) -> float:
    """Power of two that brings a readout of F features with weights of the whole range to the size of ``amplitude``.

    ``max(1, 2^rint(log2((1 - 1.5 * 2^-(b-1)) / (amplitude / sqrt(F)))))``; 1 for None.
    """
    if readout_weight_bits is None:
        return 1.0
    largest = max(1 - 1.5 * 2.0 ** -(readout_weight_bits - 1), 0.5)
    return max(1.0, 2.0 ** round(math.log2(largest * math.sqrt(num_features) / amplitude)))


def _symmetric_uniform(seed: int, name: str, shape: tuple[int, ...], limit: float) -> Tensor:
    return (2 * uniform(random_stream(seed, name), shape)[0] - 1) * limit


def readout_matrices(
    seed: int, name: str, num_classes: int, num_features: int, bits: int | None, amplitude: float
) -> tuple[Tensor, Tensor]:
    """The fixed readout G and its feedback: magnitudes of its own draw, signs of G (sign-concordant). Both (K, F).

    All codes of symmetric(bits) are equally likely; Uniform(+-amplitude / sqrt(F)) for None.
    """
    fmt = symmetric(bits)
    limit = amplitude / math.sqrt(num_features) if fmt is None else (fmt.high + 0.5) / fmt.levels
    shape = (num_classes, num_features)
    weight = _symmetric_uniform(seed, f"{name}.readout_weight/init", shape, limit)
    feedback = _symmetric_uniform(seed, f"{name}.readout_feedback/init", shape, limit)
    concordant = torch.where(weight < 0, -feedback.abs(), feedback.abs())
    return quantize(weight, fmt), quantize(concordant, fmt)


def initial_tensors(
    seed: int, name: str, geometry: Geometry, inputs: Shape, num_classes: int,
    neuron: TraceLIF, bits: BitWidths, init: LocalInit,
) -> tuple[dict[str, Tensor], float]:  # fmt: skip
    """The tensors of a fresh layer and its attenuation (`weight_init`, with limit 1/sqrt(fan_in)).

    w ~ Uniform(+-max(1/sqrt(fan_in), w_min)), w_min = init_range or, if that is None, init_beta / 2^(b-1), bias with
    bias_gain/sqrt(fan_in), both then on the weights' grid; time constants ~ Uniform over the neuron's ranges, one pair for each
    input neuron.
    """
    channels, kernel, fmt = geometry.channels, geometry.kernel_size, symmetric(bits.weight_bits)
    fan_in = inputs[0] * kernel * kernel if init.fan_in is None else init.fan_in
    # Its own limit is sqrt(3 / fan_in).
    start = weight_init(3 * fan_in, bits.weight_bits, init.init_beta, smallest=init.init_range)
    smallest = 0.0
    if fmt is not None:
        smallest = init.init_beta / fmt.levels if init.init_range is None else init.init_range
    bias_limit = max(init.bias_gain / math.sqrt(fan_in), smallest)
    weight = _symmetric_uniform(seed, f"{name}.weight/init", (channels, inputs[0], kernel, kernel), start.limit)
    bias = _symmetric_uniform(seed, f"{name}.bias/init", (channels,), bias_limit)
    bounds = {
        "tau_mem": (neuron.tau_mem_lower, neuron.tau_mem_upper),
        "tau_syn": (neuron.tau_syn_lower, neuron.tau_syn_upper),
    }
    taus = {
        tau: low + (high - low) * uniform(random_stream(seed, f"{name}.{tau}/init"), inputs)[0]
        for tau, (low, high) in bounds.items()
    }
    readout, feedback = readout_matrices(
        seed,
        name,
        num_classes,
        math.prod(geometry.output_shape(inputs)),
        bits.readout_weight_bits,
        init.readout_amplitude,
    )
    fixed = {"readout_weight": readout, "readout_feedback": feedback}
    return {"weight": quantize(weight, fmt), "bias": quantize(bias, fmt), **taus, **fixed}, start.scale


class LocalNet(nn.Module):
    """Layers that learn independently; each sees the pooled spikes of the one before. Input (B, C, H, W) a time step."""

    def __init__(self, layers: dict[str, LocalLayer], num_classes: int) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.num_classes = num_classes

    @property
    def layers(self) -> dict[str, LocalLayer]:
        """The layers by name, input first."""
        return {name: layer for name, layer in self.named_children() if isinstance(layer, LocalLayer)}

    @torch.no_grad()
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Input spikes (T, B, C, H, W), presented from rest, to each layer's readout r (T, B, K); the class that is largest
        in most steps is the layer's vote. Nothing is learned."""
        layers, states, constants = self.layers, self.initial_states(x.shape[1]), self.constants()
        weights = {name: layer.effective_weights() for name, layer in layers.items()}
        maps = next(iter(layers.values())).tau_mem.shape
        readouts: dict[str, list[Tensor]] = {name: [] for name in layers}
        for events in x.to(torch.float32).reshape(len(x), -1, *maps):
            spikes = events
            for name, layer in layers.items():
                step, states[name] = layer(spikes, states[name], weights[name], constants[name])
                readouts[name].append(layer.readout(step, constants[name]))
                spikes = step.activation.spikes
        return {name: torch.stack(steps) for name, steps in readouts.items()}

    def trained_tensors(self) -> dict[str, Tensor]:
        """Weights and biases, by ``<layer>.<part>``."""
        return dict(self.named_parameters())

    def stored_weights(self) -> dict[str, tuple[Tensor, int | None]]:
        """Weights and their width, by layer."""
        return {name: (layer.weight, layer.settings.weight_bits) for name, layer in self.layers.items()}

    def take_weights(self, other: "LocalNet") -> None:
        """Those of another net, with its time constants and readouts. Stored weights are scaled by the ratio of the
        attenuations, so that what they do stays as it is up to quantization; readouts are quantized anew.

        Raises ValueError, naming the tensor, if one is of another shape.
        """
        check_same_shapes(self.state_dict(), other.state_dict())
        for layer, theirs in zip(self.layers.values(), other.layers.values(), strict=True):
            layer.take(theirs)

    def memory_bytes(self) -> dict[str, float]:
        """Bytes of weights and biases, and of traces P and Q, refractory state R and membrane U, at their bit widths (32 bits
        where full precision), batch 1."""
        parameters = state = 0
        for layer in self.layers.values():
            s = layer.settings
            parameters += (layer.weight.numel() + layer.bias.numel()) * (s.weight_bits or FULL_PRECISION_BITS)
            traces = (s.membrane_trace_bits, s.synapse_trace_bits)
            state += layer.tau_mem.numel() * sum(bits or FULL_PRECISION_BITS for bits in traces)
            neuron = (s.refractory.refractory_bits, s.refractory.membrane_bits)
            state += math.prod(layer.output_shape()) * sum(bits or FULL_PRECISION_BITS for bits in neuron)
        return {"parameters": parameters / 8, "state": state / 8}

    def accumulator_bits(self, batch_size: int, rounding: dict[str, GradientRounding]) -> dict[str, dict[str, int]]:
        """Signed bits of every sum of each layer that computes in integers, in training with ``rounding`` at its largest eta.

        Raises ConfigError, naming layer and sum, where they are more than what computes it has.
        """
        layers = {name: layer for name, layer in self.layers.items() if isinstance(layer, IntegerLocalLayer)}
        return {name: layer.check_widths(name, batch_size, rounding[name]) for name, layer in layers.items()}

    def check_shareable(self, samples: int) -> None:
        """Raise ConfigError unless several processes that share batches of ``samples`` learn what one learns, bit for bit."""
        found = [f"{name} sums {text}" for name, layer in self.layers.items() for text in layer.rounded_sums(samples)]
        if found:
            lines = (f"several processes: a sum would be rounded, by an order that is theirs: {text}" for text in found)
            raise ConfigError(*lines)

    def initial_states(self, batch_size: int) -> dict[str, LayerState]:
        """Every layer at rest."""
        return {name: layer.initial_state(batch_size) for name, layer in self.layers.items()}

    def constants(self) -> dict[str, LayerConstants]:
        """`LocalLayer.constants` of every layer."""
        return {name: layer.constants() for name, layer in self.layers.items()}


def build_local_net(
    inputs: Shape, geometries: list[Geometry], num_classes: int,
    neuron: TraceLIF, widths: Sequence[BitWidths], init: LocalInit, seed: int, backend: LocalBackend,
    integer: IntegerLocalBackend = INTEGER_LOCAL_EAGER,
) -> LocalNet:  # fmt: skip
    """A net of fresh layers ``layer1``, ``layer2``, ... for ``inputs`` (C, H, W); ``widths``: one a layer; those whose
    arithmetic is integer compute with ``integer``.

    Raises ConfigError if nothing is left of them.
    """
    layers = {}
    names = local_names(len(geometries))
    shapes = output_shapes(inputs, geometries, names)
    for number, (name, geometry, outputs, bits) in enumerate(zip(names, geometries, shapes, widths, strict=True)):
        tensors, scale = initial_tensors(seed, name, geometry, inputs, num_classes, neuron, bits, init)
        refractory = refractory_parameters(
            neuron.tau_ref, neuron.dt, bits.refractory_bits, bits.membrane_bits, neuron.decay_bits
        )._replace(scale=scale, pooling=geometry.pooling)
        settings = LocalLayerSettings(
            padding=geometry.padding, weight_mult=init.weight_mult[number], dt=neuron.dt, trace_cap=neuron.trace_cap,
            readout_scale=readout_scale(bits.readout_weight_bits, init.readout_amplitude, math.prod(outputs)),
            refractory=refractory, weight_bits=bits.weight_bits, membrane_trace_bits=bits.membrane_trace_bits,
            synapse_trace_bits=bits.synapse_trace_bits, decay_bits=neuron.decay_bits, sigmoid_bits=bits.sigmoid_bits,
            readout_bits=bits.readout_bits, error_bits=bits.error_bits, l1=init.l1, l2=init.l2,
            readout_weight_bits=bits.readout_weight_bits, gradient_bits=bits.gradient_bits,
        )  # fmt: skip
        layers[name] = (
            IntegerLocalLayer(tensors, settings, backend, integer) if bits.integer
            else LocalLayer(tensors, settings, backend)
        )  # fmt: skip
        inputs = outputs
    return LocalNet(layers, num_classes)
