"""A fully connected layer on quantized weights, whose backward pass quantizes the error over the whole sequence."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.kernels.backend import Backend


class _QuantizedProduct(torch.autograd.Function):
    """`QuantizedLinear.current`, with the errors and gradients of that layer, as one node of an autograd graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: "QuantizedLinear") -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x, weight)
        return layer.current(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, _ = ctx.saved_tensors  # asking for the weight makes autograd check that it has not changed since
        layer = ctx.layer
        error = layer.error(grads[0])
        return layer.input_error(error) if ctx.needs_input_grad[0] else None, layer.weight_gradient(x, error), None


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

    def current(self, x: Tensor) -> Tensor:
        """`forward` without a graph."""
        return self.backend.input_current(x, self.weight, self.weight_bits, self.attenuation)

    def error(self, grad_current: Tensor) -> Tensor:
        """``e_h = quantize_error(g_h)`` over the whole sequence (T, B, N)."""
        return self.backend.quantize_error(grad_current, self.error_bits)

    @torch.no_grad()
    def input_error(self, error: Tensor) -> Tensor:
        """``g_x[t] = e_h[t] @ w_q^T``, the gradient at the input spikes (T, B, I)."""
        return self.backend.input_error(error, self.weight, self.weight_bits, self.attenuation)

    def weight_gradient(self, x: Tensor, error: Tensor) -> Tensor:
        """``dw = x^T e_h``, (I, N): straight through the quantization of the weights, without the factor 1/scale."""
        return self.backend.weight_gradient(x, error)

    def forward(self, x: Tensor) -> Tensor:
        """Input spikes (T, B, I) to input current (T, B, N)."""
        if not torch.is_grad_enabled():
            return self.current(x)
        return _QuantizedProduct.apply(x, self.weight, self)
