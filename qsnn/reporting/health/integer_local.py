"""Health of local learning in integers: what is rounded to codes, before it is, as `qsnn.reporting.health.local` looks at it.

Numbers are in the units of their formats; the values of errors in units of their power of two.
"""

from typing import Any

from torch import Tensor

from qsnn.dynamics.integer_local.fixed_point import nearest_power, point
from qsnn.dynamics.integer_local.membrane import bias_term, dyadic_potential, potential_step, raw_membrane
from qsnn.dynamics.integer_local.readout import membrane_gradient
from qsnn.dynamics.integer_local.traces import raw_traces
from qsnn.layers.local_layer import LayerState, LayerStep, features
from qsnn.quantization import shift, symmetric, unsigned
from qsnn.reporting.health.figures import Values


def integer_forward_values(
    layer: Any, spikes: Tensor, before: LayerState, step: LayerStep, weights: tuple[Tensor, Tensor], constants: Any
) -> dict[str, Values]:
    """Traces, refractory state, membrane and readout of ``step``, which began in ``before`` with input ``spikes``."""
    traces, membrane, readout = constants
    raw = raw_traces(spikes, before.traces, traces)
    accumulator = layer.integer.drive(step.trace, weights[0], layer.settings.padding, traces.membrane_bits)
    potential = raw_membrane(accumulator, bias_term(weights[1], membrane), before.refractory, membrane)
    sums = features(step.activation.feature).to(readout.weight.dtype) @ readout.weight.T
    return {
        "membrane_trace": _share(raw.membrane, traces.shift + traces.membrane_bits, unsigned(traces.membrane_bits)),
        "synapse_trace": _share(raw.synapse, traces.shift + traces.synapse_bits, unsigned(traces.synapse_bits)),
        "refractory": _share(before.refractory, membrane.refractory_bits, unsigned(membrane.refractory_bits)),
        "membrane": Values(
            potential.double() * 2.0**-membrane.drive.shift * potential_step(membrane.membrane_bits),
            dyadic_potential(membrane.membrane_bits),
        ),
        "readout": _share(sums, readout.shift + point(readout.readout_bits), symmetric(readout.readout_bits)),
    }


def _share(codes: Tensor, shift: int, fmt: Any) -> Values:
    return Values(codes.double() * 2.0**-shift, fmt)


def integer_error_values(
    layer: Any, step: LayerStep, target: Tensor, mask: Tensor, constants: Any
) -> dict[str, Values]:
    """Errors at the readout and at the membrane, in units of their power of two."""
    readout, fmt = layer.readout(step, constants), symmetric(layer.settings.error_bits)
    at_readout = (readout * mask - target) * mask
    outer = layer.backend.readout_error(readout, target, mask, layer.settings.error_bits)
    back = layer.feedback(outer.error, step.activation.feature.shape, constants)
    gradient, elsewhere = membrane_gradient(back, step.membrane, constants.readout)
    largest = max(int(gradient.abs().max()), abs(elsewhere))
    return {
        "readout_error": Values(at_readout / shift(at_readout.abs().max()), fmt),
        "error": Values(gradient.double() * 2.0 ** -nearest_power(largest), fmt),
    }
