"""Nets that learn by backpropagation through time: named layers of any kind, one after the other, without delay."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from qsnn.dynamics import LIFState
from qsnn.dynamics.integrator import IntegratorActivity
from qsnn.kernels.backend import LayerPass, NetPass, OutputLoss
from qsnn.layers import SpikingActivity, SpikingLinear
from qsnn.layers.activity import Layer
from qsnn.layers.integrating_linear import IntegratingLinear
from qsnn.layers.recurrent import RecurrentLinear
from qsnn.layers.stored_weight import StoredWeights
from qsnn.quantization.bit_widths import FULL_PRECISION_BITS

WITHOUT_GRAPH = (SpikingLinear, RecurrentLinear, IntegratingLinear)
Activity = dict[str, SpikingActivity]
"""What the layers did, by name, input first."""
State = dict[str, LIFState]
"""State of the layers between two sequences, by name."""


def check_same_shapes(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    """Raise ValueError, naming a tensor, unless two nets have tensors of the same names and shapes."""
    for name in [*ours, *(set(theirs) - set(ours))]:
        shapes = [list(net[name].shape) if name in net else "missing" for net in (theirs, ours)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name} is {shapes[0]} there and {shapes[1]} here")


class Loss(Protocol):
    """What a net is to make small."""

    @property
    def filter(self) -> tuple[float, float, int | None] | None:
        """Decay, tau and filter_bits, if it is the van Rossum distance, for which backends have a kernel of the whole net."""

    def __call__(self, output: Tensor, target: Tensor, /) -> Tensor:
        """A scalar, of the last layer's output (T, B, N) and a target."""


class NetGradients(NamedTuple):
    """Loss and activity of a pass, gradients at the layers' drives by layer, and at the stored weights by
    ``<layer>.<part>``."""

    loss: float
    activity: Activity
    currents: dict[str, Tensor]
    weights: dict[str, Tensor]


class SpikingNet(nn.Module):
    """(T, B, ...) input spikes to the activity of named layers, input first.

    Raises ValueError if there is no layer, or if a dense one has not as many inputs as the layer before it has outputs.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if not layers:
            raise ValueError("a net needs one layer at least")
        for name, layer in layers.items():
            self.add_module(name, layer)  # directly, so that a checkpoint's keys begin with the layer's name
        for (name, before), (other, following) in pairwise(self.layers.items()):
            outputs, weight = before.output_shape, following.weights()["weight"].weight
            size = torch.Size(outputs).numel()
            if weight.dim() == 2 and weight.shape[0] != size:
                raise ValueError(
                    f"layer {other} has {weight.shape[0]} inputs, layer {name} before it has {size} neurons"
                )

    @property
    def layers(self) -> dict[str, Layer]:
        """The layers by name, input first."""
        return cast(dict[str, Layer], dict(self.named_children()))

    def weights(self) -> dict[str, StoredWeights]:
        """The weights of the layers by ``<layer>.<part>``, likewise."""
        return {f"{name}.{part}": w for name, layer in self.layers.items() for part, w in layer.weights().items()}

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Activity, State]:
        """Input spikes and state (None: at rest) to the activity of all layers and their last states."""
        activity, last = Activity(), State()
        for name, layer in self.layers.items():
            activity[name], last[name] = layer(x, state[name] if state else None)
            x = activity[name].output
        return activity, last

    def gradients(self, x: Tensor, target: Tensor, loss: Loss) -> NetGradients:
        """A forward pass from rest, the loss, and the backward pass; input spikes may be integers.

        Dense, recurrent and integrating layers need no graph, and with the numba backend and the van Rossum distance dense ones
        are one kernel: the same numbers as autograd gives, several times faster.
        """
        fast = {name: layer for name, layer in self.layers.items() if isinstance(layer, WITHOUT_GRAPH)}
        if len(fast) == len(self.layers):
            return _without_graph(fast, x, target, loss)
        weight = next(iter(self.weights().values())).weight
        return self._by_autograd(x.to(weight.dtype), target, loss)

    @torch.enable_grad()
    def _by_autograd(self, x: Tensor, target: Tensor, loss: Loss) -> NetGradients:
        self.zero_grad(set_to_none=True)
        activity, _ = self(x)
        currents: dict[str, Tensor] = {}
        for name, layer in activity.items():  # retain_grad would make copies
            layer.drive.register_hook(partial(currents.__setitem__, name))
        value = loss(list(activity.values())[-1].output, target)
        value.backward()
        currents = {n: currents[n] if n in currents else torch.zeros_like(layer.drive) for n, layer in activity.items()}
        weights = {name: w.gradient() for name, w in self.weights().items()}
        detached = {name: SpikingActivity(*(part.detach() for part in layer)) for name, layer in activity.items()}
        return NetGradients(value.item(), detached, currents, weights)

    def trained_tensors(self) -> dict[str, Tensor]:
        """Weights by ``<layer>.<part>``."""
        return {name: w.weight for name, w in self.weights().items()}

    def stored_weights(self) -> dict[str, tuple[Tensor, int | None]]:
        """Weights and their width, by layer; recurrent ones by ``<layer>.recurrent``."""
        named = {name.removesuffix(".weight").removesuffix("_weight"): w for name, w in self.weights().items()}
        return {name: (w.weight, w.weight_bits) for name, w in named.items()}

    def take_weights(self, other: "SpikingNet") -> None:
        """Those of another net, see `StoredWeights.take`. Raises ValueError, naming the tensor, if it is of another shape."""
        theirs = other.weights()
        check_same_shapes(
            {name: w.weight for name, w in self.weights().items()}, {n: w.weight for n, w in theirs.items()}
        )
        for name, weights in self.weights().items():
            weights.take(theirs[name])

    def memory_bytes(self) -> dict[str, float]:
        """Bytes of the weights and of the neurons' state at their bit widths (32 bits where full precision), batch 1."""
        parameters = sum(w.weight.numel() * (w.weight_bits or FULL_PRECISION_BITS) for w in self.weights().values())
        state = 0
        for layer in self.layers.values():
            widths = (FULL_PRECISION_BITS if bits is None else bits for bits in layer.state_widths())
            state += layer.num_neurons * sum(widths)
        return {"parameters": parameters / 8, "state": state / 8}

    def clamp_weights(self) -> None:
        """Bring all weights into the range of their format; before every forward pass in training."""
        for weights in self.weights().values():
            weights.clamp_weights()


def _gradient_of(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad


def _at_output(loss: Loss, target: Tensor) -> OutputLoss:
    """A loss and its gradient at the output alone."""

    @torch.enable_grad()
    def both(output: Tensor) -> tuple[float, Tensor]:
        leaf = output.detach().requires_grad_()
        value = loss(leaf, target)
        value.backward()
        return value.item(), _gradient_of(leaf)

    return both


@torch.no_grad()
def _without_graph(
    layers: dict[str, SpikingLinear | RecurrentLinear | IntegratingLinear], x: Tensor, target: Tensor, loss: Loss
) -> NetGradients:
    backend, settings = (
        next(iter(layers.values())).linear.backend,
        [layer.settings() for layer in layers.values()],
    )
    if loss.filter is not None and all(isinstance(layer, SpikingLinear) for layer in layers.values()):
        x = x.to(settings[0].weight.dtype)
        done = backend.net_gradients(x.flatten(2), target, settings, *loss.filter)
    else:
        done = backend.loss_gradients(x.flatten(2), settings, _at_output(loss, target))
    return gradients_of(list(layers), done)


def gradients_of(names: Sequence[str], done: NetPass) -> NetGradients:
    """What the layers of these names did in a pass without a graph."""
    passes = dict(zip(names, done.layers, strict=True))
    return NetGradients(
        done.distance,
        {name: _activity_of(layer) for name, layer in passes.items()},
        {name: layer.grad_current for name, layer in passes.items()},
        {
            f"{name}.{part}": gradient
            for name, layer in passes.items()
            for part, gradient in (("weight", layer.gradient), ("recurrent_weight", layer.recurrent_gradient))
            if gradient is not None
        },
    )


def _activity_of(layer: LayerPass) -> SpikingActivity:
    """What `forward` tells of a layer."""
    output, synapse, membrane = layer.activity
    spikes = output[..., :0] if isinstance(layer.activity, IntegratorActivity) else output
    drive = layer.current if layer.drive is None else layer.drive
    return SpikingActivity(layer.current, spikes, synapse, membrane, output, drive)
