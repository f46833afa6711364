"""Quantized weight gradients with stochastic rounding. Source: [WAGE] equations 10 and 11."""

from torch import Tensor

from qsnn.quantization.errors import shift


def quantize_gradient(
    gradient: Tensor, uniform_codes: Tensor, *, eta: float, gradient_bits: int, rng_bits: int
) -> Tensor:
    """Round ``eta * g / shift(max|g|)`` up or down at random to a multiple of 2^-(gradient_bits-1).

        n = eta * g / shift(max|g|)      i = floor(|n|)      frac = rint((|n| - i) / r) * r,  r = 2^-(rng_bits-1)
        G = sign(n) * (i + [frac >= u]) * 2^-(gradient_bits-1)

    ``gradient`` and ``uniform_codes`` have one shape, any; the maximum is over the whole tensor. ``uniform_codes`` holds
    u / r, integers 0 .. 2^(rng_bits-1), as `random_stream.uniform_codes` draws them. A gradient of 0 gives 0.
    """
    scaled = eta * (gradient / shift(gradient.abs().max()))
    size = scaled.abs()
    whole = size.floor()
    fraction = ((size - whole) * 2 ** (rng_bits - 1)).round()
    rounded = scaled.sign() * (whole + (fraction >= uniform_codes).to(scaled.dtype))
    return rounded / 2 ** (gradient_bits - 1)
