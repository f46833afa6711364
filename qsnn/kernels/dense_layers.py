"""Distance and gradients of a net of spiking dense layers, composed of the operations of a backend."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from qsnn.dynamics import LIFActivity
from qsnn.kernels.backend import Backend, LayerPass, LayerSettings, NetPass


class _Forward(NamedTuple):
    """What a layer made of its input spikes."""

    x: Tensor
    current: Tensor
    activity: LIFActivity


def _forward(backend: Backend, x: Tensor, layers: Sequence[LayerSettings]) -> list[_Forward]:
    """All layers one after the other, at rest at the beginning."""
    done: list[_Forward] = []
    for layer in layers:
        spikes = done[-1].activity.spikes if done else x
        current = backend.input_current(spikes, layer.weight, layer.weight_bits, layer.scale)
        done.append(_Forward(spikes, current, backend.lif_sequence(current, None, layer.lif)))
    return done


def compose_gradients(
    backend: Backend, x: Tensor, target: Tensor, layers: Sequence[LayerSettings], decay: float, tau: float,
    filter_bits: int | None = None,
) -> NetPass:  # fmt: skip
    """From input spikes (T, B, I) and target (T, B, N), all layers at rest at the beginning. ``filter_bits``: of the loss's
    gradient in fixed point, None for a float.

    The errors of a layer, ``e_h = quantize_error(g_h)``, go back as ``e_h @ w_q^T`` and into ``dw = x^T e_h``: straight
    through the quantization of the weights, without the factor 1/scale.
    """
    forward = _forward(backend, x, layers)
    distance, difference = backend.van_rossum_distance(forward[-1].activity.spikes, target, decay, tau)
    if filter_bits is None:
        grad_spikes = backend.van_rossum_gradient(difference, distance, decay, tau)
    else:
        grad_spikes = backend.van_rossum_codes(forward[-1].activity.spikes, target, decay, filter_bits)
    back: list[tuple[Tensor, Tensor]] = []
    for number in reversed(range(len(layers))):
        (_, current, activity), layer = forward[number], layers[number]
        grad_current = backend.lif_sequence_backward(grad_spikes, current, activity, None, layer.lif)
        error = backend.quantize_error(grad_current, layer.lif.error_bits)
        back.append((grad_current, error))
        if number > 0:
            grad_spikes = backend.input_error(error, layer.weight, layer.weight_bits, layer.scale)
    # Weight gradients last, so that every layer's errors go back while they are in the cache.
    passes = tuple(
        LayerPass(done.current, done.activity, grad_current, backend.weight_gradient(done.x, error))
        for done, (grad_current, error) in zip(forward, reversed(back), strict=True)
    )
    return NetPass(distance.item(), passes)
