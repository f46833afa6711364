"""A fully connected layer on quantized weights, whose backward pass quantizes the error over the whole sequence."""

from typing import Any

import torch
from torch import Tensor

from qsnn.kernels.backend import WeightSettings
from qsnn.layers.stored_weight import StoredWeights


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
        stored = weight, layer.weight_bits, layer.attenuation
        grad_x = backend.input_error(error, *stored, layer.error_bits) if needs_x else None
        return grad_x, backend.weight_gradient(x, error, layer.error_bits) if needs_weight else None, None


class QuantizedLinear(StoredWeights):
    """Input current ``h[t] = x[t] @ (quantize_symmetric(w, weight_bits) / scale)``: (T, B, I) to (T, B, N). No bias.

    ``weight``: (I, N), see `StoredWeights` [ISCAS].
    """

    def settings(self) -> WeightSettings:
        """The weights as backends want them."""
        return WeightSettings(self.weight, self.weight_bits, self.attenuation)

    def forward(self, x: Tensor) -> Tensor:
        """Input spikes (T, B, I) to input current (T, B, N)."""
        if not torch.is_grad_enabled():
            return self.backend.input_current(x, self.weight, self.weight_bits, self.attenuation)
        return _QuantizedProduct.apply(x, self.weight, self)
