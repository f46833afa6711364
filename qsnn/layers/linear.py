"""A fully connected layer on quantized weights, whose backward pass quantizes the error over the whole sequence."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from qsnn.kernels.backend import Backend


class LinearGradients(NamedTuple):
    """What the backward pass of a layer gives: at the input spikes (None unless needed), at the stored weights."""

    spikes: Tensor | None
    weight: Tensor


class _QuantizedProduct(torch.autograd.Function):
    """`QuantizedLinear.current` and `QuantizedLinear.backward` as one node of an autograd graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: "QuantizedLinear") -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x, weight)
        return layer.current(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, _ = ctx.saved_tensors  # asking for the weight makes autograd check that it has not changed since
        return *ctx.layer.backward(x, grads[0], ctx.needs_input_grad[0]), None


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

    @torch.no_grad()
    def backward(self, x: Tensor, grad_current: Tensor, needs_input: bool) -> LinearGradients:
        """``e_h = quantize_error(g_h)``, ``g_x = e_h @ w_q^T``, ``dw = x^T e_h``, from ``g_h`` (T, B, N).

        The gradient passes straight through the quantization of the weights, without the factor 1/scale.
        """
        error = self.backend.quantize_error(grad_current, self.error_bits)
        grad_x = None
        if needs_input:
            grad_x = self.backend.input_error(error, self.weight, self.weight_bits, self.attenuation)
        return LinearGradients(grad_x, self.backend.weight_gradient(x, error))

    def forward(self, x: Tensor) -> Tensor:
        """Input spikes (T, B, I) to input current (T, B, N)."""
        if not torch.is_grad_enabled():
            return self.current(x)
        return _QuantizedProduct.apply(x, self.weight, self)
