"""A convolutional layer of spiking neurons, one a pixel, with spikes pooled by OR.

T time, B batch, C input channels, O output channels, H W space. ``h[t] = conv2d(x[t], q(w)/scale, stride, padding)``; a pooled
spike is 1 if any neuron of its window spikes. The window's winner is the neuron with the largest membrane from before the step,
the first of equals in the order of rows: it spikes exactly if any does, and it alone gets the error.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.backends import cudnn, nnpack
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from qsnn.dynamics import LIFState, NeuronParameters
from qsnn.dynamics.cuba_lif import states_before
from qsnn.kernels.backend import Backend
from qsnn.layers.activity import SpikingActivity, raw_lif_states
from qsnn.layers.lif import LIF
from qsnn.layers.stored_weight import StoredWeights

EXACT_SUM = 2**24
"""Up to here float32 counts in ones."""


class _QuantizedConvolution(torch.autograd.Function):
    """``h = conv2d(x, w_q)`` and back: ``e_h = quantize_error(g_h)``, ``g_x`` by w_q, ``dw`` the sum of x times e_h.

    The gradient passes straight through the quantization of the weights, without the factor 1/scale.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: "QuantizedConvolution") -> Tensor:
        ctx.layer = layer
        quantized = layer.quantized_weight()
        ctx.save_for_backward(x, quantized)
        with _sums_of_products():
            return functional.conv2d(x, quantized, stride=layer.stride, padding=layer.padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        layer: QuantizedConvolution = ctx.layer
        x, quantized = ctx.saved_tensors
        error = layer.backend.quantize_error(grads[0].contiguous(), layer.error_bits)
        place = {"stride": layer.stride, "padding": layer.padding}
        with _sums_of_products():
            grad_x = conv2d_input(x.shape, quantized, error, **place) if ctx.needs_input_grad[0] else None
            return grad_x, summed_products(x, error, tuple(quantized.shape), layer.error_bits, **place), None


@contextlib.contextmanager
def _sums_of_products() -> Iterator[None]:
    """Convolutions as the sums that they are: NNPACK, which torch takes where it has no oneDNN, and cuDNN on a GPU go by way of
    transforms that round."""
    with nnpack.flags(enabled=False), cudnn.flags(enabled=False, deterministic=True, allow_tf32=False):
        yield


def summed_products(
    x: Tensor, error: Tensor, shape: tuple[int, ...], error_bits: int | None, stride: int, padding: int
) -> Tensor:
    """Weight gradient (O, C, k, k): over all samples and pixels the sum of inputs (-1, 0, 1) times errors.

    Of quantized errors it is exact: float32 sums so few samples at a time that their integers stay below 2^24, and float64
    the rest; all of it where the maps of one sample are too large or its errors too fine for that.
    """
    place = {"stride": stride, "padding": padding}
    if error_bits is None:
        return conv2d_weight(x, shape, error, **place)
    pixels, highest = error[0, 0].numel(), 2 ** (error_bits - 1)
    chunk = max(1, EXACT_SUM // (pixels * highest))
    kind = x.dtype if pixels * highest <= EXACT_SUM else torch.float64
    total = torch.zeros(shape, dtype=torch.float64, device=x.device)
    for part, errors in zip(x.split(chunk), error.split(chunk), strict=True):
        total += conv2d_weight(part.to(kind), shape, errors.to(kind), **place)
    return total.to(x.dtype)


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
        return _QuantizedConvolution.apply(x, self.weight, self)


def pooled(spikes: Tensor, membrane: Tensor, window: int) -> Tensor:
    """Spikes (S, O, H, W) to those of each window's winner, (S, O, H//window, W//window), which carry gradients back.

    ``membrane``: from before the step.
    """
    if window == 1:
        return spikes
    _, winner = functional.max_pool2d(membrane, window, return_indices=True)
    return spikes.flatten(2).gather(2, winner.flatten(2)).view(winner.shape)


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
        steps = x.shape[:2]
        current = self.convolution(x.flatten(0, 1)).view(*steps, -1)
        activity, last = self.lif(current, state)
        initial = LIFState.zeros(current[0]) if state is None else state
        membrane = states_before(activity, initial).membrane
        maps = (-1, *self.maps)
        output = pooled(activity.spikes.view(maps), membrane.view(maps), self.pooling).view(*steps, *self.output_shape)
        return SpikingActivity(current, activity.spikes, activity.synapse, activity.membrane, output, current), last

    def weights(self) -> dict[str, StoredWeights]:
        """``weight``."""
        return {"weight": self.convolution}

    def state_widths(self) -> tuple[int | None, int | None]:
        """Bits of synapse and membrane."""
        return self.lif.dynamics.synapse_bits, self.lif.dynamics.membrane_bits

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
