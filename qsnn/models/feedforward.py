"""Feedforward nets of current-based LIF neurons: any number of fully connected layers, as in [ISCAS] one hidden layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from qsnn.dynamics import LIFState, NeuronParameters
from qsnn.kernels.backend import Backend
from qsnn.layers import QuantizedLinear, SpikingActivity, SpikingLinear
from qsnn.models.geometry import DENSE, Geometry, Shape
from qsnn.options import MAX_FACTOR, Option, key, option
from qsnn.quantization import initial_weights, random_stream, weight_init
from qsnn.quantization.bit_widths import FULL_PRECISION_BITS, BitWidths

Activity = dict[str, SpikingActivity]
"""What the layers did, by name, input first."""
State = dict[str, LIFState]
"""State of the layers between two sequences, by name."""


class NetGradients(NamedTuple):
    """Distance and activity of a pass, gradients at the input currents and at the stored weights, by layer."""

    distance: float
    activity: Activity
    currents: dict[str, Tensor]
    weights: dict[str, Tensor]


class FeedforwardNet(nn.Module):
    """(T, B, num_inputs) input spikes to (T, B, num_outputs) output spikes, through named layers, input first.

    Raises ValueError if there is no layer, or if one has not as many inputs as the layer before it has neurons.
    """

    def __init__(self, layers: Mapping[str, SpikingLinear]) -> None:
        super().__init__()
        if not layers:
            raise ValueError("a net needs one layer at least")
        for (name, layer), (other, following) in pairwise(layers.items()):
            neurons, inputs = layer.linear.weight.shape[1], following.linear.weight.shape[0]
            if neurons != inputs:
                raise ValueError(f"layer {other} has {inputs} inputs, layer {name} before it has {neurons} neurons")
        for name, layer in layers.items():
            self.add_module(name, layer)  # directly, so that a checkpoint's keys begin with the layer's name

    @property
    def layers(self) -> dict[str, SpikingLinear]:
        """The layers by name, input first."""
        return cast(dict[str, SpikingLinear], dict(self.named_children()))

    def linears(self) -> dict[str, QuantizedLinear]:
        """The weights of the layers by name, likewise."""
        return {name: layer.linear for name, layer in self.layers.items()}

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Activity, State]:
        """Input spikes and state (None: at rest) to the activity of all layers and their last states."""
        activity, last = Activity(), State()
        for name, layer in self.layers.items():
            activity[name], last[name] = layer(x, state[name] if state else None)
            x = activity[name].spikes
        return activity, last

    @torch.no_grad()
    def gradients(self, x: Tensor, target: Tensor, decay: float, tau: float) -> NetGradients:
        """A forward pass from rest, the van Rossum distance to ``target`` and the backward pass, without a graph.

        The same numbers as `forward`, `VanRossumDistance` and autograd give, several times faster: with the numba backend
        it is one kernel.
        """
        layers = self.layers
        backend = next(iter(layers.values())).linear.backend
        done = backend.net_gradients(x, target, [layer.settings() for layer in layers.values()], decay, tau)
        passes = dict(zip(layers, done.layers, strict=True))
        return NetGradients(
            done.distance,
            {name: SpikingActivity(layer.current, *layer.activity) for name, layer in passes.items()},
            {name: layer.grad_current for name, layer in passes.items()},
            {name: layer.gradient for name, layer in passes.items()},
        )

    def trained_tensors(self) -> dict[str, Tensor]:
        """Weights by ``<layer>.weight``."""
        return {f"{name}.weight": linear.weight for name, linear in self.linears().items()}

    def stored_weights(self) -> dict[str, tuple[Tensor, int | None]]:
        """Weights and their width, by layer."""
        return {name: (linear.weight, linear.weight_bits) for name, linear in self.linears().items()}

    def memory_bytes(self) -> dict[str, float]:
        """Bytes of the weights and of the neurons' state at their bit widths (32 bits where full precision), batch 1."""
        parameters = state = 0
        for layer in self.layers.values():
            linear, dynamics = layer.linear, layer.lif.dynamics
            parameters += linear.weight.numel() * (linear.weight_bits or FULL_PRECISION_BITS)
            widths = (dynamics.synapse_bits, dynamics.membrane_bits)
            state += linear.weight.shape[1] * sum(bits or FULL_PRECISION_BITS for bits in widths)
        return {"parameters": parameters / 8, "state": state / 8}

    def clamp_weights(self) -> None:
        """Bring all weights into the range of their format; before every forward pass in training."""
        for linear in self.linears().values():
            linear.clamp_weights()


def layer_names(num_hidden_layers: int) -> list[str]:
    """``hidden`` and ``output``; ``hidden1``, ``hidden2``, ... and ``output`` if several are hidden."""
    if num_hidden_layers == 1:
        return ["hidden", "output"]
    return [*(f"hidden{number + 1}" for number in range(num_hidden_layers)), "output"]


def build_feedforward(
    sizes: Sequence[int],
    widths: Sequence[BitWidths],
    neurons: Sequence[NeuronParameters],
    *,
    fan_in: int | None,
    init_beta: float | None,
    seed: int,
    backend: Backend,
) -> FeedforwardNet:
    """A net with fresh weights (see `weight_init`), drawn from the streams ``<layer>.weight/init`` of ``seed``.

    ``sizes``: inputs, neurons of each hidden layer, outputs; ``widths`` and ``neurons``: one a layer. ``fan_in``: the inputs
    that initialisation assumes in every layer; None takes each layer's own.
    """

    def layer(name: str, inputs: int, outputs: int, bits: BitWidths, neuron: NeuronParameters) -> SpikingLinear:
        rounded = bits.gradient_bits is not None
        init = weight_init(inputs if fan_in is None else fan_in, bits.weight_bits, init_beta, rounded)
        stream = random_stream(seed, f"{name}.weight/init")
        weight = initial_weights(stream, (inputs, outputs), init.limit, bits.state_bits)
        return SpikingLinear(weight, init.scale, bits.weight_bits, neuron, backend)

    names = layer_names(len(sizes) - 2)
    layers = zip(names, pairwise(sizes), widths, neurons, strict=True)
    return FeedforwardNet({name: layer(name, *pair, bits, neuron) for name, pair, bits, neuron in layers})


@option("model", "feedforward")
@dataclass
class Feedforward(Option):
    """Fully connected layers, any number of them; hidden=[] is an output layer alone."""

    gives: ClassVar[frozenset[str]] = frozenset({DENSE})

    hidden: list[int] = key(
        [400], "neurons of each hidden layer, input first", "", "nb_hidden", at_least=1, at_most=1_000_000
    )
    fan_in: int | None = key(
        None, "inputs that initialisation assumes in every layer; null: each layer's own", "", "784, fixed",
        at_least=1, at_most=1_000_000,
    )  # fmt: skip
    init_beta: float | None = key(
        None,
        "initial weights reach beta / 2^(weight_bits-1); null: 2^(weight_bits-1) - 0.5, the whole range (local learning: 1.5)",
        "",
        "2^(wb-1) - 0.5, fixed",
        above=0,
        at_most=MAX_FACTOR,
    )

    def num_layers(self, with_output: bool) -> int:
        """How many layers the net has, with an output layer behind the hidden ones or without."""
        return len(self.hidden) + with_output

    def build_spiking(
        self, num_inputs: int, num_outputs: int, neuron: Any, bits: BitWidths, seed: int, backend: Backend
    ) -> FeedforwardNet:
        """The net with an output layer. Raises ConfigError for lists of widths that do not fit it."""
        sizes = [num_inputs, *self.hidden, num_outputs]
        widths = bits.by_layer(len(sizes) - 1)
        neurons = [neuron.build(width.synapse_bits, width.membrane_bits, width.error_bits) for width in widths]
        return build_feedforward(
            sizes, widths, neurons, fan_in=self.fan_in, init_beta=self.init_beta, seed=seed, backend=backend
        )

    def geometries(self) -> list[Geometry]:
        """The hidden layers for local learning: convolutions of one pixel over maps of one pixel."""
        return [Geometry(neurons, 1, 0, 1) for neurons in self.hidden]

    def input_maps(self, maps: Shape) -> Shape:
        """What the first layer sees of maps (C, H, W): all pixels as channels of one pixel."""
        return maps[0] * maps[1] * maps[2], 1, 1
