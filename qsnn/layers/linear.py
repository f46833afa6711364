"""A fully connected layer on quantized weights, whose backward pass quantizes the error over the whole sequence."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.kernels.backend import Backend
from qsnn.quantization import symmetric


class _QuantizedProduct(torch.autograd.Function):
    """``h = x @ w_q`` and back: ``e_h = quantize_error(g_h)``, ``g_x = e_h @ w_q^T``, ``dw = x^T e_h``.

    The gradient passes straight through the quantization of the weights, without the factor 1/scale.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bits: tuple[int | None, int | None], scale: float, backend: Backend
    ) -> Tensor:
        weight_bits, ctx.error_bits = bits
        ctx.backend = backend
        quantized = backend.quantize_weights(weight, weight_bits, scale)
        ctx.save_for_backward(x, quantized)
        return backend.input_current(x, quantized)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, quantized = ctx.saved_tensors
        error = ctx.backend.quantize_error(grads[0], ctx.error_bits)
        grad_x = ctx.backend.input_error(error, quantized) if ctx.needs_input_grad[0] else None
        grad_weight = ctx.backend.weight_gradient(x, error) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, None, None, None


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
        fmt = symmetric(self.weight_bits)
        if fmt is not None:
            self.weight.clamp_(fmt.smallest, fmt.largest)

    def forward(self, x: Tensor) -> Tensor:
        """Input spikes (T, B, I) to input current (T, B, N)."""
        bits = (self.weight_bits, self.error_bits)
        return _QuantizedProduct.apply(x, self.weight, bits, self.attenuation, self.backend)
