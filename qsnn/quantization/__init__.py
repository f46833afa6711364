"""Number formats and rounding: pure functions on tensors. The definitions behind every bit width in a config."""

from qsnn.quantization.errors import quantize_error, quantize_errors, shift
from qsnn.quantization.formats import (
    Format,
    divide,
    from_codes,
    in_range,
    nearest_codes,
    potential,
    quantize,
    symmetric,
    to_codes,
    unsigned,
)
from qsnn.quantization.gradients import largest_code, quantize_gradient, signed_bits
from qsnn.quantization.random_stream import RNG_RULES, RandomStream, advance, random_stream, uniform, uniform_codes
from qsnn.quantization.weights import WeightInit, initial_weights, weight_init

__all__ = [
    "RNG_RULES",
    "Format",
    "RandomStream",
    "WeightInit",
    "advance",
    "divide",
    "from_codes",
    "in_range",
    "initial_weights",
    "largest_code",
    "nearest_codes",
    "potential",
    "quantize",
    "quantize_error",
    "quantize_errors",
    "quantize_gradient",
    "random_stream",
    "shift",
    "signed_bits",
    "symmetric",
    "to_codes",
    "uniform",
    "uniform_codes",
    "unsigned",
    "weight_init",
]
