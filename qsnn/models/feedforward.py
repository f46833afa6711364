"""Feedforward nets of current-based LIF neurons: any number of fully connected layers, as in [ISCAS] one hidden layer."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from qsnn.dynamics import LIFParameters, LIFState
from qsnn.kernels.backend import Backend
from qsnn.layers import QuantizedLinear, SpikingActivity, SpikingLinear
from qsnn.quantization import initial_weights, random_stream, weight_init

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

    def stored_weights(self) -> dict[str, tuple[Tensor, int | None]]:
        """Weights and their width, by layer."""
        return {name: (linear.weight, linear.weight_bits) for name, linear in self.linears().items()}

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
    *,
    num_inputs: int,
    hidden: Sequence[int],
    num_outputs: int,
    fan_in: int | None,
    init_beta: float | None,
    weight_bits: int | None,
    quantized_gradients: bool,
    state_bits: int | None,
    lif: LIFParameters,
    seed: int,
    backend: Backend,
) -> FeedforwardNet:
    """A net with fresh weights (see `weight_init`), drawn from the streams ``<layer>.weight/init`` of ``seed``.

    ``hidden``: neurons of each hidden layer, input first; empty for an output layer alone. ``fan_in`` is the number of
    inputs that initialisation assumes in every layer; None takes each layer's own.
    """

    def layer(name: str, inputs: int, outputs: int) -> SpikingLinear:
        init = weight_init(inputs if fan_in is None else fan_in, weight_bits, init_beta, quantized_gradients)
        stream = random_stream(seed, f"{name}.weight/init")
        weight = initial_weights(stream, (inputs, outputs), init.limit, state_bits)
        return SpikingLinear(weight, init.scale, weight_bits, lif, backend)

    sizes = pairwise([num_inputs, *hidden, num_outputs])
    return FeedforwardNet(
        {name: layer(name, *pair) for name, pair in zip(layer_names(len(hidden)), sizes, strict=True)}
    )
