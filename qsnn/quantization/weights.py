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


def weight_init(
    fan_in: int,
    weight_bits: int | None,
    beta: float | None = None,
    quantized_gradients: bool = False,
    smallest: float | None = None,
) -> WeightInit:
    """Limit and power-of-two attenuation of a layer with ``fan_in`` inputs.

        limit = sqrt(3 / fan_in)     w_min = beta / 2^(b-1)     scale = max(1, 2^round(log2(w_min / limit)))
        L = max(limit, w_min)

    Few bits need large weights to reach a first code at all; the attenuation brings the current back to the size
    that sqrt(3 / fan_in) would give. ``beta`` of None is 2^(b-1) - 1/2, the pattern experiment's, which spreads the
    weights over the whole range. With ``weight_bits=None`` the limit is sqrt(3 / fan_in) and the scale 1.

    Quantized gradients, and the learning rates that belong to them, move a weight by shares of its range. So that they
    mean the same without a weight format, ``weight_bits=None`` with ``quantized_gradients`` is the limit of many bits:
    w_min = 1, or 0 where ``beta`` is given.

    ``smallest`` is w_min itself in place of beta's, the same at every width; 0 with neither format nor quantized gradients.
    """
    limit = math.sqrt(3 / fan_in)
    if smallest is None:
        smallest = _smallest(weight_bits, beta, quantized_gradients)
    elif weight_bits is None and not quantized_gradients:
        smallest = 0.0
    scale = max(1.0, 2.0 ** round(math.log2(smallest / limit))) if smallest else 1.0
    return WeightInit(max(limit, smallest), scale)


def _smallest(weight_bits: int | None, beta: float | None, quantized_gradients: bool) -> float:
    """w_min of `weight_init`; 0: no weight has to be large."""
    if weight_bits is None:
        return 1.0 if beta is None and quantized_gradients else 0.0
    beta = 2 ** (weight_bits - 1) - 0.5 if beta is None else beta
    return beta / 2 ** (weight_bits - 1)


def initial_weights(stream: RandomStream, shape: tuple[int, ...], limit: float, state_bits: int | None) -> Tensor:
    """Uniform(-limit, limit), clamped to the range of the state format and rounded to its grid."""
    numbers, _ = uniform(stream, shape)
    return quantize((2 * numbers - 1) * limit, symmetric(state_bits))
