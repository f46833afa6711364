"""A fully connected layer on quantized weights, whose backward pass quantizes the error over the whole sequence."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.kernels.backend import Backend


class _QuantizedProduct(torch.autograd.Function):
    """``h = x @ w_q`` and back: ``e_h = quantize_error(g_h)``, ``g_x = e_h @ w_q^T``, ``dw = x^T e_h``.

    The gradient passes straight through the quantization of the weights, without the factor 1/scale.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: "QuantizedLinear") -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x, weight)
        return layer.backend.input_current(x, weight, layer.weight_bits, layer.attenuation)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        layer: QuantizedLinear = ctx.layer
        (x, weight), (needs_x, needs_weight, _) = ctx.saved_tensors, ctx.needs_input_grad
        backend = layer.backend
        error = backend.quantize_error(grads[0], layer.error_bits)
        grad_x = backend.input_error(error, weight, layer.weight_bits, layer.attenuation) if needs_x else None
        return grad_x, backend.weight_gradient(x, error) if needs_weight else None, None


class QuantizedLinear(nn.Module):
    """Input current ``h[t] = x[t] @ (quantize_symmetric(w, weight_bits) / scale)``: (T, B, I) to (T, B, N). No bias.

    ``weight`` (I, N) is kept in float, or on the gradient grid if the optimizer keeps it there. ``error_bits`` is the
    width of the error that the backward pass works with [ISCAS].
    """

    scale: Tensor

    def __init__(
        self, weight: Tensor, scale: float, weight_bits: int | None, error_bits: int | None, backend: Backend
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.register_buffer("scale", torch.tensor(scale))
        self.attenuation = float(scale)
        self.weight_bits = weight_bits
        self.error_bits = error_bits
        self.backend = backend

    def gradient(self) -> Tensor:
        """The weight gradient of the last backward pass. Raises RuntimeError if there was none."""
        if self.weight.grad is None:
            raise RuntimeError("no backward pass has reached this layer")
        return self.weight.grad

    @torch.no_grad()
    def clamp_weights(self) -> None:
        """Bring the stored weights into the range of symmetric(weight_bits); before every forward pass in training."""
        self.backend.clamp_weights(self.weight, self.weight_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Input spikes (T, B, I) to input current (T, B, N)."""
        if not torch.is_grad_enabled():
            return self.backend.input_current(x, self.weight, self.weight_bits, self.attenuation)
        return _QuantizedProduct.apply(x, self.weight, self)
