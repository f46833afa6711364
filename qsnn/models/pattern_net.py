"""The pattern-retention net of [ISCAS]: input spikes, a hidden and an output layer of current-based LIF neurons."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from qsnn.dynamics import LIFParameters, LIFState
from qsnn.kernels.backend import Backend
from qsnn.layers import QuantizedLinear, SpikingActivity, SpikingLinear
from qsnn.quantization import initial_weights, random_stream, weight_init


class PatternNetActivity(NamedTuple):
    """What both layers did."""

    hidden: SpikingActivity
    output: SpikingActivity


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

    def backward(
        self,
        x: Tensor,
        activity: PatternNetActivity,
        grad_spikes: Tensor,
        use: Callable[[str, Tensor, Tensor], None],
        state: PatternNetState | None = None,
    ) -> None:
        """From the gradient at the output spikes of ``activity``, which `forward` gave for ``x`` and ``state``.

        Calls ``use(layer, gradient at its input current, weight gradient)`` for both layers, the output first, as soon as
        a layer's weights are no longer needed. The same numbers as autograd's, without a graph: `forward` may have run
        under ``torch.no_grad``.
        """
        hidden, output = self.hidden, self.output
        grad = output.current_gradient(activity.output, state.output if state else None, grad_spikes)
        error = output.linear.error(grad)
        grad_spikes = output.linear.input_error(error)
        use("output", grad, output.linear.weight_gradient(activity.hidden.spikes, error))
        grad = hidden.current_gradient(activity.hidden, state.hidden if state else None, grad_spikes)
        use("hidden", grad, hidden.linear.weight_gradient(x, hidden.linear.error(grad)))

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
    gradient_bits: int | None,
    state_bits: int | None,
    lif: LIFParameters,
    seed: int,
    backend: Backend,
) -> PatternNet:
    """A net with fresh weights (see `weight_init`), drawn from the streams ``<layer>.weight/init`` of ``seed``.

    ``fan_in`` is the number of inputs that initialisation assumes in both layers; None takes each layer's own.
    """

    def layer(name: str, inputs: int, outputs: int) -> SpikingLinear:
        init = weight_init(inputs if fan_in is None else fan_in, weight_bits, init_beta)
        stream = random_stream(seed, f"{name}.weight/init")
        weight = initial_weights(stream, (inputs, outputs), init.limit, gradient_bits, state_bits)
        return SpikingLinear(weight, init.scale, weight_bits, lif, backend)

    return PatternNet(layer("hidden", num_inputs, num_hidden), layer("output", num_hidden, num_outputs))
