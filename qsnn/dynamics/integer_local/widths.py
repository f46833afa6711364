"""How many signed bits each sum of an integer layer can take, from its formats and constants: stated, and checked.

Nothing here is measured: the bounds hold for every input and every weight that the formats allow. A bound from the actual
weights may be lower (`convolution_bits`), which lets kernels sum in 32 bits what the formats alone would give 64.
"""

from typing import NamedTuple

from torch import Tensor

from qsnn.dynamics.integer_local.fixed_point import highest_code, point
from qsnn.dynamics.integer_local.membrane import FRACTION as MEMBRANE_FRACTION
from qsnn.dynamics.integer_local.membrane import IntegerMembrane
from qsnn.dynamics.integer_local.readout import FRACTION as ERROR_FRACTION
from qsnn.dynamics.integer_local.readout import IntegerReadout
from qsnn.dynamics.integer_local.traces import IntegerTraces
from qsnn.errors import ConfigError
from qsnn.quantization import signed_bits

DOUBLE_BITS, WORD_BITS, FLOAT_BITS = 54, 64, 25
"""Signed integers that a double, an int64 and a float32 hold."""


class LayerExtent(NamedTuple):
    """``fan_in`` of a neuron, ``places`` of a map before pooling, ``outputs`` maps, ``classes``, largest ``batch_size``, widths
    of weights, readout matrices and gradients, ``rng_bits``, and the largest ``eta``."""

    fan_in: int
    places: int
    outputs: int
    classes: int
    batch_size: int
    weight_bits: int
    readout_weight_bits: int
    gradient_bits: int
    rng_bits: int
    eta: float


def drive_bound(trace_bits: int, weight: int) -> int:
    """Of an accumulator, ``weight`` being the largest sum of |codes| of a neuron's weights."""
    return (2**trace_bits - 1) * weight


def _membrane_bounds(membrane: IntegerMembrane, extent: LayerExtent, trace_bits: int) -> dict[str, int]:
    m, highest = membrane, highest_code(extent.weight_bits)
    product = m.bias.multiplier * highest + (1 << m.bias.shift >> 1)
    accumulator = drive_bound(trace_bits, extent.fan_in * highest) + (product >> m.bias.shift) + 1
    subtracted = int(m.subtracted.max())
    scaled = m.drive.multiplier * accumulator + (subtracted << (m.drive.shift - MEMBRANE_FRACTION))
    total = extent.batch_size * extent.outputs * extent.places * highest_code(m.membrane_bits)
    return {
        "bias_product": product, "drive": accumulator, "refractory": subtracted,
        "membrane_product": scaled + (1 << m.drive.shift >> 1), "membrane_total": 80 * total,
    }  # fmt: skip


def _readout_bounds(readout: IntegerReadout) -> dict[str, int]:
    r, error = readout, highest_code(readout.error_bits)
    sums = int(r.weight.abs().sum(1).max()) * (2**r.sigmoid_bits - 1)
    sums <<= max(0, -r.shift)
    gradient = ((error << ERROR_FRACTION) + r.l1) * int(r.slope.max()) + r.l2
    return {
        "readout": sums,
        "readout_error": _before_rounding(2 ** (r.readout_bits + 1), r.error_bits),
        "feedback": _before_rounding(int(r.feedback.abs().sum(0).max()) * error, r.error_bits),
        "membrane_error": _before_rounding(gradient, r.error_bits),
    }


def _before_rounding(largest: int, error_bits: int) -> int:
    """Small sums are shifted to the left, where their largest reaches 2^(eb-1) * sqrt(2)."""
    return max(largest, 2 ** (point(error_bits) + 1))


def _gradient_bounds(extent: LayerExtent, trace_bits: int, error_bits: int) -> dict[str, int]:
    errors = extent.batch_size * extent.places * highest_code(error_bits)
    code = int(1.5 * extent.eta) + 1
    return {
        "weight_gradient": errors * (2**trace_bits - 1), "bias_gradient": errors,
        "scaled_gradient": max(int(1.5 * extent.eta * 2**extent.rng_bits) + 1, errors * (2**trace_bits - 1)),
        "gradient_code": code, "update": code + highest_code(extent.gradient_bits),
    }  # fmt: skip


def accumulator_bits(
    traces: IntegerTraces, membrane: IntegerMembrane, readout: IntegerReadout, extent: LayerExtent
) -> dict[str, int]:
    """Signed bits of every sum and product of a layer's step, by name, as the equations of `qsnn.dynamics.integer_local` have
    them; more than 32 mean an accumulator of 64."""
    bounds = {
        **dict(zip(("membrane_trace", "synapse_trace"), traces.largest_sums, strict=True)),
        **_membrane_bounds(membrane, extent, traces.membrane_bits), **_readout_bounds(readout),
        **_gradient_bounds(extent, traces.membrane_bits, readout.error_bits),
    }  # fmt: skip
    return {name: signed_bits(bound) for name, bound in bounds.items()}


_HELD_IN_DOUBLE = ("drive", "readout", "feedback", "weight_gradient", "bias_gradient")
_HELD_IN_FLOAT = ("gradient_code", "update")


def check_widths(layer: str, bits: dict[str, int]) -> None:
    """Raise ConfigError, naming layer and sum, if one exceeds what computes it: 64 bits, a double's integers where matrix
    products are done in doubles, a float32's where weights are stored."""
    for name, found in bits.items():
        held = DOUBLE_BITS if name in _HELD_IN_DOUBLE else FLOAT_BITS if name in _HELD_IN_FLOAT else WORD_BITS - 1
        if found > held:
            raise ConfigError(
                f"quantization.arithmetic=integer: {name} of {layer} takes {found} signed bits, and {held} are there: "
                "choose fewer bits, a smaller optimizer.eta, or time constants and trainer.weight_mult in proportion"
            )


def convolution_bits(weight: Tensor, trace_bits: int) -> int:
    """Signed bits of the convolution's sums with these weight codes (O, C, k, k): what 2^pb - 1 everywhere could reach."""
    return signed_bits(drive_bound(trace_bits, int(weight.abs().flatten(1).sum(1).max())))
