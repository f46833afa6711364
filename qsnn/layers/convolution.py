"""A convolutional layer of spiking neurons, one a pixel, with spikes pooled by OR.

T time, B batch, C input channels, O output channels, H W space. ``h[t] = conv2d(x[t], q(w)/scale, stride, padding)``; a pooled
spike is 1 if any neuron of its window spikes. The window's winner is the neuron with the largest membrane from before the step,
the first of equals in the order of rows: it spikes exactly if any does, and it alone gets the error.
"""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.dynamics import LIFActivity, LIFState, NeuronParameters
from qsnn.dynamics.surrogate import range_of
from qsnn.kernels.backend import Backend, ConvolutionPass, ConvolutionSettings
from qsnn.kernels.convolution import membranes_before, pooled_backward, steps_of
from qsnn.layers.activity import SpikingActivity, raw_lif_states
from qsnn.layers.lif import LIF
from qsnn.layers.stored_weight import StoredWeights


class _Convolution(torch.autograd.Function):
    """Input (S, C, H, W) to current and back, by the layer's backend."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: "QuantizedConvolution") -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer.backend.convolution_current(x, layer.settings())

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x,), layer = ctx.saved_tensors, ctx.layer
        return *layer.backend.convolution_errors(x, grads[0], layer.settings(), ctx.needs_input_grad[0]), None


class _Sequence:
    """A layer's pass over a sequence, which two autograd nodes share: the current between them is on the way of the errors."""

    done: ConvolutionPass

    def __init__(self, layer: "SpikingConvolution", state: LIFState | None) -> None:
        self.backend, self.settings, self.state = layer.convolution.backend, layer.convolution.settings(), state
        self.neuron, self.pooling = layer.lif.dynamics, layer.pooling

    def run(self, x: Tensor) -> ConvolutionPass:
        """Input spikes (T, B, C, H, W) to all that the layer does."""
        return self.backend.convolution_sequence(x, self.state, self.settings, self.neuron, self.pooling)

    def gradient(self, grad_spikes: Tensor | None, grad_output: Tensor | None) -> Tensor | None:
        """At the current, from those at all spikes and at the pooled ones."""
        if grad_spikes is None:
            if grad_output is None:
                return None
            return self.backend.convolution_sequence_backward(
                grad_output, self.done, self.state, self.neuron, self.pooling
            )
        if grad_output is not None:
            membrane = membranes_before(self.done.activity, self.state).view(steps_of(self.done), *self.done.maps)
            more = pooled_backward(grad_output.flatten(0, 1), membrane, self.pooling)
            grad_spikes = grad_spikes + more.view(grad_spikes.shape)
        current, activity = self.done.current, self.done.activity
        return self.backend.lif_sequence_backward(grad_spikes, current, activity, self.state, self.neuron)


class _Drive(torch.autograd.Function):
    """Input spikes (T, B, C, H, W) to current (T, B, N); leaves all else that the layer does in ``sequence``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, sequence: _Sequence) -> Tensor:
        ctx.sequence = sequence
        ctx.save_for_backward(x)
        done = sequence.run(x)
        # What is handed on will know its node: to keep that here would make a circle, and memory that is never freed.
        sequence.done = done._replace(current=done.current.detach())
        return done.current

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (x,), sequence = ctx.saved_tensors, ctx.sequence
        wants_input = ctx.needs_input_grad[0]
        return *sequence.backend.convolution_errors(x, grads[0], sequence.settings, wants_input), None


class _Neurons(torch.autograd.Function):
    """Current to spikes, states and pooled spikes, which `_Drive` has left in ``sequence``.

    Only spikes carry a gradient, pooled ones and all, and only to the current, see `qsnn.layers.lif`.
    """

    @staticmethod
    def forward(ctx: Any, current: Tensor, sequence: _Sequence) -> tuple[Tensor, ...]:
        ctx.sequence, done = sequence, sequence.done
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(done.activity.synapse, done.activity.membrane)
        kept = LIFActivity(*(part.detach() for part in done.activity))
        sequence.done = done._replace(activity=kept, output=done.output.detach())
        # Without pooling the output is the spikes, and one tensor cannot be returned twice.
        return (*done.activity, done.output) if sequence.pooling > 1 else done.activity

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None]:
        if ctx.sequence.pooling > 1:
            return ctx.sequence.gradient(grads[0], grads[3]), None
        output = ctx.sequence.done.output
        return ctx.sequence.gradient(None, None if grads[0] is None else grads[0].view(output.shape)), None


class QuantizedConvolution(StoredWeights):
    """Input (S, C, H, W) of S samples to current (S, O, H', W'), no bias; ``weight`` (O, C, k, k), see `StoredWeights`."""

    def __init__(
        self, weight: Tensor, scale: float, stride: int, padding: int,
        weight_bits: int | None, error_bits: int | None, backend: Backend,
    ) -> None:  # fmt: skip
        super().__init__(weight, scale, weight_bits, error_bits, backend)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Input to current."""
        return _Convolution.apply(x, self.weight, self)

    def settings(self) -> ConvolutionSettings:
        """What a backend needs to know of it."""
        return ConvolutionSettings(
            self.weight, self.weight_bits, self.attenuation, self.error_bits, self.stride, self.padding
        )


class SpikingConvolution(nn.Module):
    """`QuantizedConvolution`, one neuron a pixel, pooled spikes. ``maps``: (O, H', W') of the neurons."""

    def __init__(
        self, convolution: QuantizedConvolution, maps: tuple[int, int, int], pooling: int,
        neuron: NeuronParameters, backend: Backend,
    ) -> None:  # fmt: skip
        super().__init__()
        self.convolution, self.lif = convolution, LIF(neuron, backend)
        self.maps, self.pooling = maps, pooling

    def forward(self, x: Tensor, state: LIFState | None = None) -> tuple[SpikingActivity, LIFState]:
        """Input spikes (T, B, C, H, W) to activity, neurons flat (T, B, N), ``output`` (T, B, O, H'', W''), and last state."""
        sequence = _Sequence(self, state)
        if torch.is_grad_enabled():
            current = _Drive.apply(x, self.convolution.weight, sequence)
            *parts, output = (
                _Neurons.apply(current, sequence) if self.pooling > 1 else (*_Neurons.apply(current, sequence), None)
            )
        else:
            current, parts, output, *_ = sequence.run(x)
        activity = LIFActivity(*parts)
        output = activity.spikes.view(*x.shape[:2], *self.maps) if self.pooling == 1 else output
        last = LIFState(activity.synapse[-1], activity.membrane[-1])
        return SpikingActivity(current, *activity, output, current), last

    def weights(self) -> dict[str, StoredWeights]:
        """``weight``."""
        return {"weight": self.convolution}

    def state_widths(self) -> tuple[int | None, int | None]:
        """Bits of synapse and membrane."""
        return self.lif.dynamics.synapse_bits, self.lif.dynamics.membrane_bits

    @property
    def state_range(self) -> float:
        """`range_of` its neurons."""
        return range_of(self.lif.dynamics)

    def raw_states(self, activity: SpikingActivity) -> LIFState:
        """`raw_lif_states`."""
        return raw_lif_states(activity, self.lif.dynamics)

    @property
    def num_neurons(self) -> int:
        """N: one a pixel, before pooling."""
        return self.maps[0] * self.maps[1] * self.maps[2]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(O, H'', W'')."""
        return self.maps[0], self.maps[1] // self.pooling, self.maps[2] // self.pooling
