"""What quantized weights of any shape have in common: the stored tensor, its format, and the power of two that attenuates
it."""

from typing import Any

import torch
from torch import Tensor, nn

from qsnn.kernels.backend import Backend
from qsnn.quantization import quantize, symmetric

EXPONENTS = range(-8, 17)


class StoredWeights(nn.Module):
    """``weight`` is kept in float, or on the gradient grid if the optimizer keeps it there; a layer computes with
    ``quantize_symmetric(weight, weight_bits) / scale``. ``error_bits``: of the error in the backward pass."""

    scale: Tensor

    def __init__(
        self, weight: Tensor, scale: float, weight_bits: int | None, error_bits: int | None, backend: Backend
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.register_buffer("scale", torch.tensor(scale))
        self.attenuation = float(scale)
        self.weight_bits, self.error_bits, self.backend = weight_bits, error_bits, backend

    def _load_from_state_dict(self, state_dict: dict[str, Any], *arguments: Any) -> None:
        super()._load_from_state_dict(state_dict, *arguments)
        self.attenuation = float(self.scale)

    def quantized_weight(self) -> Tensor:
        """``quantize_symmetric(w, weight_bits) / scale``."""
        return quantize(self.weight.detach(), symmetric(self.weight_bits)) / self.attenuation

    def gradient(self) -> Tensor:
        """The weight gradient of the last backward pass. Raises RuntimeError if there was none."""
        if self.weight.grad is None:
            raise RuntimeError("no backward pass has reached this layer")
        return self.weight.grad

    @torch.no_grad()
    def clamp_weights(self) -> None:
        """Bring the stored weights into the range of symmetric(weight_bits); before every forward pass in training."""
        self.backend.clamp_weights(self.weight, self.weight_bits)

    @torch.no_grad()
    def take(self, other: "StoredWeights") -> None:
        """The weights of another net. With the same width, or into full precision, they are taken as they are; else attenuated
        by the power of two with which their quantized values are nearest to the other's stored ones, in the sum of squares."""
        self.weight.copy_(other.weight)
        self.scale.copy_(other.scale)
        if self.weight_bits not in (None, other.weight_bits):
            wanted = other.weight.double() / other.attenuation
            scale = min((2.0**exponent for exponent in EXPONENTS), key=lambda scale: self._distance(wanted, scale))
            self.weight.copy_(wanted * scale)
            self.scale.fill_(scale)
        self.attenuation = float(self.scale)

    def _distance(self, wanted: Tensor, scale: float) -> float:
        quantized = quantize(wanted * scale, symmetric(self.weight_bits)) / scale
        return float((quantized - wanted).square().sum())
