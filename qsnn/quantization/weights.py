"""Initial weights and their attenuation. Source: [WAGE] section 3.1, with the constants of [ISCAS]."""

import math
from typing import NamedTuple

from torch import Tensor

from qsnn.quantization.formats import quantize, symmetric
from qsnn.quantization.random_stream import RandomStream, uniform


class WeightInit(NamedTuple):
    """``limit``: weights start in Uniform(-limit, limit); ``scale``: the layer divides its quantized weights by it."""

    limit: float
    scale: float


def weight_init(fan_in: int, weight_bits: int | None, beta: float | None = None) -> WeightInit:
    """Limit and power-of-two attenuation of a layer with ``fan_in`` inputs.

        limit = sqrt(3 / fan_in)     w_min = beta / 2^(b-1)     scale = max(1, 2^round(log2(w_min / limit)))
        L = max(limit, w_min)

    Few bits need large weights to reach a first code at all; the attenuation brings the current back to the size
    that sqrt(3 / fan_in) would give. ``beta`` of None is 2^(b-1) - 1/2, the pattern experiment's, which spreads the
    weights over the whole range. With ``weight_bits=None`` the limit is sqrt(3 / fan_in) and the scale 1.
    """
    limit = math.sqrt(3 / fan_in)
    if weight_bits is None:
        return WeightInit(limit, 1.0)
    beta = 2 ** (weight_bits - 1) - 0.5 if beta is None else beta
    smallest = beta / 2 ** (weight_bits - 1)
    scale = max(1.0, 2.0 ** round(math.log2(smallest / limit)))
    return WeightInit(max(limit, smallest), scale)


def initial_weights(
    stream: RandomStream, shape: tuple[int, int], limit: float, gradient_bits: int | None, state_bits: int | None
) -> Tensor:
    """Uniform(-limit, limit), clamped to symmetric(gradient_bits), rounded to the grid of the state format."""
    numbers, _ = uniform(stream, shape)
    weights = (2 * numbers - 1) * limit
    range_format = symmetric(gradient_bits)
    if range_format is not None:
        weights = weights.clamp(range_format.smallest, range_format.largest)
    return quantize(weights, symmetric(state_bits))
