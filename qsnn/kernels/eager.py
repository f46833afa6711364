"""The plain-torch backend: any device, and the truth that the other backends are tested against."""

from torch import Tensor

from qsnn.dynamics import (
    Slots,
    UpdateRule,
    lif_sequence,
    lif_sequence_backward,
    van_rossum_distance,
    van_rossum_gradient,
)
from qsnn.kernels.backend import Backend
from qsnn.quantization import (
    RandomStream,
    quantize,
    quantize_error,
    quantize_gradient,
    symmetric,
    uniform_codes,
)


def quantize_weights(weight: Tensor, weight_bits: int | None, scale: float) -> Tensor:
    """``quantize_symmetric(w, weight_bits) / scale``, the weights that a layer computes with."""
    return quantize(weight, symmetric(weight_bits)) / scale


def input_current(spikes: Tensor, weight: Tensor) -> Tensor:
    """``h[t] = x[t] @ w_q``."""
    return spikes @ weight


def input_error(error: Tensor, weight: Tensor) -> Tensor:
    """``g_x[t] = e_h[t] @ w_q^T``."""
    return error @ weight.T


def weight_gradient(spikes: Tensor, error: Tensor) -> Tensor:
    """``dw = sum over t and batch of x[t]^T e_h[t]``."""
    return spikes.flatten(0, 1).T @ error.flatten(0, 1)


def round_gradient(
    gradient: Tensor, stream: RandomStream, eta: float, gradient_bits: int, rng_bits: int
) -> tuple[Tensor, RandomStream]:
    """`quantize_gradient` with the next numbers of ``stream``."""
    codes, stream = uniform_codes(stream, gradient.shape, rng_bits, gradient.device)
    rounded = quantize_gradient(gradient, codes, eta=eta, gradient_bits=gradient_bits, rng_bits=rng_bits)
    return rounded, stream


def update_weights(rule: UpdateRule, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
    """The rule's own update."""
    return rule.update(weight, gradient, slots, step)


def all_finite(tensor: Tensor) -> bool:
    """Whether no element is NaN or Inf."""
    return bool(tensor.isfinite().all())


EAGER = Backend(
    name="eager",
    quantize_weights=quantize_weights,
    input_current=input_current,
    input_error=input_error,
    weight_gradient=weight_gradient,
    quantize_error=quantize_error,
    lif_sequence=lif_sequence,
    lif_sequence_backward=lif_sequence_backward,
    van_rossum_distance=van_rossum_distance,
    van_rossum_gradient=van_rossum_gradient,
    round_gradient=round_gradient,
    update_weights=update_weights,
    all_finite=all_finite,
)
