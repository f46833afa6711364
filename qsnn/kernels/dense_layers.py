"""Loss and gradients of a net of dense and recurrent layers without a graph, composed of the operations of a backend."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from qsnn.dynamics import LIFActivity
from qsnn.dynamics.integrator import IntegratorActivity, IntegratorParameters
from qsnn.kernels.backend import Backend, LayerPass, LayerSettings, NetPass, OutputLoss


class _Forward(NamedTuple):
    """What a layer made of its input spikes; ``drive``: what arrived from below, the current unless it is recurrent."""

    x: Tensor
    drive: Tensor
    current: Tensor
    activity: LIFActivity | IntegratorActivity


def _forward(backend: Backend, x: Tensor, layer: LayerSettings) -> _Forward:
    """A layer, at rest at the beginning."""
    drive = backend.input_current(x, layer.weight, layer.weight_bits, layer.scale)
    if isinstance(layer.lif, IntegratorParameters):
        return _Forward(x, drive, drive, backend.integrator_sequence(drive, None, layer.lif))
    if layer.recurrent is None:
        return _Forward(x, drive, drive, backend.lif_sequence(drive, None, layer.lif))
    return _Forward(x, drive, *backend.recurrent_sequence(drive, None, layer.lif, layer.recurrent))


def _back_through_neurons(backend: Backend, grad_output: Tensor, done: _Forward, layer: LayerSettings) -> Tensor:
    """Gradient at the current, from that at what the layer hands on."""
    if isinstance(layer.lif, IntegratorParameters):
        activity = IntegratorActivity(*done.activity)
        return backend.integrator_sequence_backward(grad_output, done.current, activity, None, layer.lif)
    known = grad_output, done.current, LIFActivity(*done.activity), None, layer.lif
    if layer.recurrent is None:
        return backend.lif_sequence_backward(*known)
    return backend.recurrent_sequence_backward(*known, layer.recurrent)


def _layer_pass(
    backend: Backend, done: _Forward, grad_current: Tensor, error: Tensor, layer: LayerSettings
) -> LayerPass:
    """All that a layer did, with its weight gradients: ``dw = x^T e_h``, ``dw_r`` of its own spikes one step before."""
    gradient = backend.weight_gradient(done.x, error, layer.lif.error_bits)
    if layer.recurrent is None:
        return LayerPass(done.current, done.activity, grad_current, gradient)
    recurrent = backend.recurrent_gradient(done.activity[0], error, layer.lif.error_bits)
    return LayerPass(done.current, done.activity, grad_current, gradient, done.drive, recurrent)


def compose_loss_gradients(backend: Backend, x: Tensor, layers: Sequence[LayerSettings], loss: OutputLoss) -> NetPass:
    """From input spikes (T, B, I), all layers at rest at the beginning, and the loss of the last one's output.

    The errors of a layer, ``e_h = quantize_error(g_h)``, go back as ``e_h @ w_q^T`` and into ``dw = x^T e_h``: straight
    through the quantization of the weights, without the factor 1/scale.
    """
    forward: list[_Forward] = []
    for layer in layers:
        forward.append(_forward(backend, forward[-1].activity[0] if forward else x, layer))
    value, grad_output = loss(forward[-1].activity[0])
    back: list[tuple[Tensor, Tensor]] = []
    for number in reversed(range(len(layers))):
        layer, bits = layers[number], layers[number].lif.error_bits
        grad_current = _back_through_neurons(backend, grad_output, forward[number], layer)
        error = backend.quantize_error(grad_current, bits)
        back.append((grad_current, error))
        if number > 0:
            grad_output = backend.input_error(error, layer.weight, layer.weight_bits, layer.scale, bits)
    # Weight gradients last, so that every layer's errors go back while they are in the cache.
    passes = tuple(
        _layer_pass(backend, done, *errors, layer)
        for done, errors, layer in zip(forward, reversed(back), layers, strict=True)
    )
    return NetPass(value, passes)


def compose_gradients(
    backend: Backend, x: Tensor, target: Tensor, layers: Sequence[LayerSettings], decay: float, tau: float,
    filter_bits: int | None = None,
) -> NetPass:  # fmt: skip
    """`compose_loss_gradients` of the van Rossum distance to ``target`` (T, B, N). ``filter_bits``: of the loss's gradient in
    fixed point, None for a float."""

    def loss(output: Tensor) -> tuple[float, Tensor]:
        distance, difference = backend.van_rossum_distance(output, target, decay, tau)
        if filter_bits is not None:
            return distance.item(), backend.van_rossum_codes(output, target, decay, filter_bits)
        return distance.item(), backend.van_rossum_gradient(difference, distance, decay, tau)

    return compose_loss_gradients(backend, x, layers, loss)
