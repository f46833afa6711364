"""The pattern-retention net of [ISCAS]: input spikes, a hidden and an output layer of current-based LIF neurons."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from qsnn.dynamics import LIFParameters, LIFState
from qsnn.kernels.backend import Backend
from qsnn.layers import QuantizedLinear, SpikingActivity, SpikingLinear
from qsnn.quantization import initial_weights, random_stream, weight_init


class PatternNetActivity(NamedTuple):
    """What both layers did."""

    hidden: SpikingActivity
    output: SpikingActivity


class PatternNetGradients(NamedTuple):
    """Distance and activity of a pass, gradients at the input currents and at the stored weights, by layer."""

    distance: float
    activity: PatternNetActivity
    currents: dict[str, Tensor]
    weights: dict[str, Tensor]


class PatternNetState(NamedTuple):
    """State of both layers between two sequences."""

    hidden: LIFState
    output: LIFState


class PatternNet(nn.Module):
    """(T, B, num_inputs) input spikes to (T, B, num_outputs) output spikes."""

    def __init__(self, hidden: SpikingLinear, output: SpikingLinear) -> None:
        super().__init__()
        self.hidden = hidden
        self.output = output

    def forward(self, x: Tensor, state: PatternNetState | None = None) -> tuple[PatternNetActivity, PatternNetState]:
        """Input spikes and state (None: at rest) to the activity of both layers and their last states."""
        hidden, hidden_state = self.hidden(x, state.hidden if state else None)
        output, output_state = self.output(hidden.spikes, state.output if state else None)
        return PatternNetActivity(hidden, output), PatternNetState(hidden_state, output_state)

    @torch.no_grad()
    def gradients(self, x: Tensor, target: Tensor, decay: float, tau: float) -> PatternNetGradients:
        """A forward pass from rest, the van Rossum distance to ``target`` and the backward pass, without a graph.

        The same numbers as `forward`, `VanRossumDistance` and autograd give, several times faster: with the numba backend
        it is one kernel.
        """
        backend = self.hidden.linear.backend
        done = backend.net_gradients(x, target, self.hidden.settings(), self.output.settings(), decay, tau)
        layers = {"hidden": done.hidden, "output": done.output}
        activity = PatternNetActivity(*(SpikingActivity(layer.current, *layer.activity) for layer in layers.values()))
        currents = {name: layer.grad_current for name, layer in layers.items()}
        weights = {name: layer.gradient for name, layer in layers.items()}
        return PatternNetGradients(done.distance, activity, currents, weights)

    def linears(self) -> dict[str, QuantizedLinear]:
        """The layers with weights, by name, input first."""
        return {"hidden": self.hidden.linear, "output": self.output.linear}

    def clamp_weights(self) -> None:
        """Bring all weights into the range of their format; before every forward pass in training."""
        for linear in self.linears().values():
            linear.clamp_weights()


def build_pattern_net(
    *,
    num_inputs: int,
    num_hidden: int,
    num_outputs: int,
    fan_in: int | None,
    init_beta: float | None,
    weight_bits: int | None,
    quantized_gradients: bool,
    state_bits: int | None,
    lif: LIFParameters,
    seed: int,
    backend: Backend,
) -> PatternNet:
    """A net with fresh weights (see `weight_init`), drawn from the streams ``<layer>.weight/init`` of ``seed``.

    ``fan_in`` is the number of inputs that initialisation assumes in both layers; None takes each layer's own.
    """

    def layer(name: str, inputs: int, outputs: int) -> SpikingLinear:
        init = weight_init(inputs if fan_in is None else fan_in, weight_bits, init_beta, quantized_gradients)
        stream = random_stream(seed, f"{name}.weight/init")
        weight = initial_weights(stream, (inputs, outputs), init.limit, state_bits)
        return SpikingLinear(weight, init.scale, weight_bits, lif, backend)

    return PatternNet(layer("hidden", num_inputs, num_hidden), layer("output", num_hidden, num_outputs))
