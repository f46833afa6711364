"""Distance and gradients of a net of two spiking layers, composed of the operations of a backend."""

from torch import Tensor

from qsnn.kernels.backend import Backend, LayerPass, LayerSettings, NetPass


def compose_gradients(
    backend: Backend, x: Tensor, target: Tensor, hidden: LayerSettings, output: LayerSettings, decay: float, tau: float
) -> NetPass:
    """From input spikes (T, B, I) and target (T, B, N), both layers at rest at the beginning.

    The errors of a layer, ``e_h = quantize_error(g_h)``, go back as ``e_h @ w_q^T`` and into ``dw = x^T e_h``: straight
    through the quantization of the weights, without the factor 1/scale.
    """
    current_1 = backend.input_current(x, *hidden[:3])
    activity_1 = backend.lif_sequence(current_1, None, hidden.lif)
    current_2 = backend.input_current(activity_1.spikes, *output[:3])
    activity_2 = backend.lif_sequence(current_2, None, output.lif)
    distance, difference = backend.van_rossum_distance(activity_2.spikes, target, decay, tau)
    grad_spikes = backend.van_rossum_gradient(difference, distance, decay, tau)
    grad_2 = backend.lif_sequence_backward(grad_spikes, current_2, activity_2, None, output.lif)
    error_2 = backend.quantize_error(grad_2, output.lif.error_bits)
    grad_spikes = backend.input_error(error_2, *output[:3])
    grad_1 = backend.lif_sequence_backward(grad_spikes, current_1, activity_1, None, hidden.lif)
    error_1 = backend.quantize_error(grad_1, hidden.lif.error_bits)
    gradients = backend.weight_gradient(x, error_1), backend.weight_gradient(activity_1.spikes, error_2)
    return NetPass(
        distance.item(),
        LayerPass(current_1, activity_1, grad_1, gradients[0]),
        LayerPass(current_2, activity_2, grad_2, gradients[1]),
    )
