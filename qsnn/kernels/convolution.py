"""Convolutional layers of spiking neurons in plain torch: the definition. One neuron a pixel, spikes pooled by OR.

T time, B batch, S = T*B samples, C input maps, O output maps, k side of the kernel, H W space; ' after the convolution, ''
after pooling. ``w_q = quantize_symmetric(w, weight_bits) / scale``, w (O, C, k, k).

    h = conv2d(x, w_q, stride, padding)       g_x = conv_transpose2d(e_h, w_q)       dw = sum over S, H', W' of x times e_h

A pooled spike is 1 if any neuron of its window spikes. The window's winner is the neuron with the largest membrane from before
the step, the first of equals in the order of rows: it spikes exactly if any does, and it alone gets the error.

Of spikes (-1, 0, 1) and codes all sums are exact and rounded to float32 once: sums of float32 where by the actual weights and
the errors' format none exceeds 2^24 steps, of float64 elsewhere. In full precision they are float32 sums in torch's order.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.backends import cudnn, nnpack
from torch.nn import functional
from torch.nn.grad import conv2d_input, conv2d_weight

from qsnn.dynamics import LIFActivity, LIFState, NeuronParameters
from qsnn.dynamics.neuron import states_before
from qsnn.kernels.backend import Backend, ConvolutionPass, ConvolutionSettings
from qsnn.quantization import quantize, quantize_error, symmetric
from qsnn.quantization.reductions import ALONE, Reductions

EXACT_SUM = 2**24
"""Up to here float32 counts in ones."""


@contextlib.contextmanager
def sums_of_products() -> Iterator[None]:
    """Convolutions as the sums that they are: NNPACK, which torch takes where it has no oneDNN, and cuDNN on a GPU go by way of
    transforms that round."""
    with nnpack.flags(enabled=False), cudnn.flags(enabled=False, deterministic=True, allow_tf32=False):
        yield


def quantized_weight(layer: ConvolutionSettings) -> Tensor:
    """``w_q`` (O, C, k, k)."""
    return quantize(layer.weight.detach(), symmetric(layer.weight_bits)) / layer.scale


def maps_of(x: Tensor, layer: ConvolutionSettings) -> tuple[int, int, int]:
    """(O, H', W') for inputs (..., C, H, W)."""
    side = layer.weight.shape[-1]
    height, width = ((n + 2 * layer.padding - side) // layer.stride + 1 for n in x.shape[-2:])
    return len(layer.weight), height, width


def _exact_kind(weight: Tensor, axes: tuple[int, ...], layer: ConvolutionSettings, high: int) -> torch.dtype:
    """The floats that hold every sum of weights over ``axes`` times codes up to ``high``."""
    fmt = symmetric(layer.weight_bits)
    if fmt is None:
        return weight.dtype
    largest = float(weight.abs().sum(axes, dtype=torch.float64).max()) * layer.scale * fmt.levels * high
    return weight.dtype if largest <= EXACT_SUM else torch.float64


def convolution_current(x: Tensor, layer: ConvolutionSettings) -> Tensor:
    """``h`` (S, O, H', W') of spikes (S, C, H, W)."""
    weight = quantized_weight(layer)
    kind = _exact_kind(weight, (1, 2, 3), layer, 1)
    with sums_of_products():
        current = functional.conv2d(x.to(kind), weight.to(kind), stride=layer.stride, padding=layer.padding)
    return current.to(x.dtype)


def convolution_errors(
    x: Tensor, grad_current: Tensor, layer: ConvolutionSettings, wants_input: bool, over: Reductions = ALONE
) -> tuple[Tensor | None, Tensor]:
    """``g_x``, if wanted, and ``dw`` (O, C, k, k), of spikes (S, C, H, W) or (T, B, C, H, W) and the gradient at the current,
    in maps or flat (T, B, N).

    ``e_h = quantize_error(g_h)`` over the whole sequence. The weights' gradient passes straight through their quantization,
    without the factor 1/scale.
    """
    error, weight = quantize_error(grad_current, layer.error_bits, over), quantized_weight(layer)
    place, grad_x, maps = {"stride": layer.stride, "padding": layer.padding}, None, x.flatten(0, -4)
    error = error.reshape(len(maps), *maps_of(maps, layer))
    if wants_input:
        fmt = symmetric(layer.error_bits)
        kind = error.dtype if fmt is None else _exact_kind(weight, (0, 2, 3), layer, round(fmt.high))
        with sums_of_products():
            grad_x = conv2d_input(maps.shape, weight.to(kind), error.to(kind), **place).to(x.dtype).view(x.shape)
    with sums_of_products():
        shape, bits = tuple(weight.shape), layer.error_bits
        return grad_x, summed_products(maps, error, shape, bits, layer.stride, layer.padding, over)


def summed_products(
    x: Tensor,
    error: Tensor,
    shape: tuple[int, ...],
    error_bits: int | None,
    stride: int,
    padding: int,
    over: Reductions = ALONE,
) -> Tensor:
    """Weight gradient (O, C, k, k): over all samples and pixels the sum of inputs (-1, 0, 1) times errors.

    Of quantized errors it is exact: float32 sums so few samples at a time that their integers stay below 2^24, and float64
    the rest; all of it where the maps of one sample are too large or its errors too fine for that. It is rounded once it is
    that of all parts.
    """
    place = {"stride": stride, "padding": padding}
    if error_bits is None:
        return conv2d_weight(x, shape, error, **place)
    pixels, highest = error.shape[2:].numel(), 2 ** (error_bits - 1)
    chunk = max(1, EXACT_SUM // (pixels * highest))
    kind = x.dtype if pixels * highest <= EXACT_SUM else torch.float64
    total = torch.zeros(shape, dtype=torch.float64, device=x.device)
    for part, errors in zip(x.split(chunk), error.split(chunk), strict=True):
        if len(part):  # torch splits nothing into one part
            total += conv2d_weight(part.to(kind), shape, errors.to(kind), **place)
    return over.total(total).to(x.dtype)


def pooled(spikes: Tensor, membrane: Tensor, window: int) -> Tensor:
    """Spikes (S, O, H, W) to those of each window's winner, (S, O, H//window, W//window), which carry gradients back.

    ``membrane``: from before the step.
    """
    if window == 1:
        return spikes
    return (
        spikes.flatten(2)
        .gather(2, _winners(membrane, window).flatten(2))
        .view(*spikes.shape[:2], *_left(spikes, window))
    )


def pooled_backward(grad: Tensor, membrane: Tensor, window: int) -> Tensor:
    """The gradient at the spikes (S, O, H, W) from that at the pooled ones: all of it at the winners."""
    if window == 1:
        return grad
    out = torch.zeros_like(membrane).flatten(2)
    return out.scatter_(2, _winners(membrane, window).flatten(2), grad.flatten(2)).view(membrane.shape)


def _winners(membrane: Tensor, window: int) -> Tensor:
    return functional.max_pool2d(membrane, window, return_indices=True)[1]


def _left(maps: Tensor, window: int) -> tuple[int, int]:
    return maps.shape[2] // window, maps.shape[3] // window


def membranes_before(activity: LIFActivity, state: LIFState | None) -> Tensor:
    """Membranes (T, B, N) at the beginning of every step."""
    return states_before(activity, LIFState.zeros(activity.membrane[0]) if state is None else state).membrane


def compose_sequence(
    backend: Backend,
    x: Tensor,
    state: LIFState | None,
    layer: ConvolutionSettings,
    neuron: NeuronParameters,
    pooling: int,
) -> ConvolutionPass:
    """Input spikes (T, B, C, H, W) to what the layer does, by the operations of ``backend``."""
    steps = x.shape[:2]
    maps = backend.convolution_current(x.flatten(0, 1), layer)
    current = maps.reshape(*steps, maps.shape[1:].numel())
    activity = backend.lif_sequence(current, state, neuron)
    output = pooled(activity.spikes.view(maps.shape), membranes_before(activity, state).view(maps.shape), pooling)
    channels, height, width = maps.shape[1:]
    return ConvolutionPass(current, activity, output.view(*steps, *output.shape[1:]), (channels, height, width))


def steps_of(done: ConvolutionPass) -> int:
    """T * B, which may be none."""
    return done.current.shape[0] * done.current.shape[1]


def compose_sequence_backward(
    backend: Backend,
    grad: Tensor,
    done: ConvolutionPass,
    state: LIFState | None,
    neuron: NeuronParameters,
    pooling: int,
    over: Reductions = ALONE,
) -> Tensor:
    """Gradient at the current (T, B, N) from that at the pooled spikes (T, B, O, H'', W''), likewise."""
    membrane = membranes_before(done.activity, state).view(steps_of(done), *done.maps)
    grad_spikes = pooled_backward(grad.flatten(0, 1), membrane, pooling).view(done.current.shape)
    return backend.lif_sequence_backward(grad_spikes, done.current, done.activity, state, neuron, over)
