"""Widths of a layer that learns in integers hold at the extremes that formats allow, and are hardly wider than these need."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qsnn.dynamics.code_products import convolve_codes, correlate_codes
from qsnn.dynamics.integer_local.fixed_point import half_even, half_up, highest_code, nearest_power, ratio
from qsnn.dynamics.integer_local.membrane import bias_term, raw_membrane
from qsnn.dynamics.integer_local.readout import membrane_gradient
from qsnn.dynamics.integer_local.traces import integer_traces, raw_traces
from qsnn.dynamics.refractory_lif import MembraneStep, refractory_parameters
from qsnn.dynamics.traces import TraceState
from qsnn.errors import ConfigError
from qsnn.kernels.backend import GradientRounding
from qsnn.kernels.integer_local_backend import INTEGER_LOCAL_EAGER
from qsnn.kernels.local_backend import LOCAL_EAGER
from qsnn.layers.integer_local_layer import IntegerLocalLayer
from qsnn.layers.local_layer import LocalLayerSettings
from qsnn.quantization import quantize, shift, signed_bits, symmetric

BATCH, CLASSES, SHAPE, OUTPUTS = 3, 4, (2, 7, 6), 5
ROUNDING = GradientRounding(8.0, 10, 16, "unbiased")


def settings_of(**bits: int | None) -> LocalLayerSettings:
    """The widths of [ICONS] unless others are given, of a layer with kernels of 3 x 3."""
    widths = {
        "weight_bits": 8, "membrane_trace_bits": 12, "synapse_trace_bits": 10, "decay_bits": 16, "sigmoid_bits": 6,
        "readout_bits": 6, "error_bits": 6, "readout_weight_bits": 6, "gradient_bits": 10, **bits,
    }  # fmt: skip
    neuron = refractory_parameters(1 / 350, 0.001, 2, 6, 16)
    return LocalLayerSettings(
        padding=0, readout_scale=4.0, weight_mult=1e-3, dt=0.001, trace_cap=1.0, refractory=neuron, l1=0.0, l2=0.0, **widths
    )  # fmt: skip


def layer_of(**bits: int | None) -> IntegerLocalLayer:
    """A layer whose stored weights are all the highest."""
    chosen, generator = settings_of(**bits), torch.Generator().manual_seed(0)
    features = (CLASSES, OUTPUTS * (SHAPE[1] - 2) * (SHAPE[2] - 2))
    matrix = quantize(2 * torch.rand(features, generator=generator) - 1, symmetric(chosen.readout_weight_bits))
    tensors = {
        "weight": torch.ones(OUTPUTS, SHAPE[0], 3, 3), "bias": torch.ones(OUTPUTS), "readout_weight": matrix,
        "readout_feedback": matrix, "tau_mem": 0.005 + 0.03 * torch.rand(SHAPE, generator=generator),
        "tau_syn": 0.005 + 0.005 * torch.rand(SHAPE, generator=generator),
    }  # fmt: skip
    return IntegerLocalLayer(tensors, chosen, LOCAL_EAGER, INTEGER_LOCAL_EAGER)


def reached(layer: IntegerLocalLayer) -> dict[str, int]:
    """The largest of every sum with all states, weights and errors at their highest codes."""
    traces, membrane, readout = layer.constants()
    high, half = highest_code(readout.error_bits), 1 << traces.shift >> 1
    p, q = (torch.full((BATCH, *SHAPE), 2**bits - 1) for bits in (traces.membrane_bits, traces.synapse_bits))
    raw = raw_traces(torch.ones_like(p), TraceState(p, q), traces)
    weight, bias = layer.effective_weights()
    sums, term = convolve_codes(p, weight, 0), bias_term(bias, membrane)
    u = torch.zeros(sums.shape, dtype=torch.int16)
    refractory = torch.full(u.shape, 2**membrane.refractory_bits - 1)
    raw_u = raw_membrane(-sums, -term, refractory, membrane)
    back = torch.full(u.shape, float(high))
    step = MembraneStep(u, u, u, u.int(), u.sum(), u.sum())
    errors = torch.full(u.shape, high)
    answers, returned = readout.weight.abs().sum(1).max(), readout.feedback.abs().sum(0).max()
    return {
        "membrane_trace": int(raw.membrane.max()) + half, "synapse_trace": int(raw.synapse.max()) + half,
        "drive": int(sums.max() + term.max()),
        "membrane_product": int(raw_u.abs().max()) + (1 << membrane.drive.shift >> 1),
        "readout": int(answers) * (2**readout.sigmoid_bits - 1), "feedback": int(returned) * high,
        "membrane_error": int(membrane_gradient(back, step, readout)[0].max()),
        "weight_gradient": int(correlate_codes(errors, p, 3, 0).max()), "bias_gradient": int(errors.sum((0, 2, 3)).max()),
    }  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 16), st.integers(1, 16), st.integers(1, 16), st.integers(1, 24))
def test_widths_hold_at_the_extremes_and_are_at_most_a_bit_too_wide(w: int, p: int, e: int, decay: int) -> None:
    layer = layer_of(weight_bits=w, membrane_trace_bits=p, error_bits=e, decay_bits=decay)
    stated = layer.accumulator_bits(BATCH, ROUNDING)
    for name, largest in reached(layer).items():
        assert stated[name] - 1 - (name == "feedback") <= signed_bits(largest) <= stated[name], name


def test_sum_without_an_accumulator_is_refused_with_its_layer() -> None:
    layer = layer_of(membrane_trace_bits=16, error_bits=16)
    with pytest.raises(ConfigError, match="weight_gradient of layer1 takes 60 signed bits, and 54 are there"):
        layer.check_widths("layer1", 10**7, ROUNDING)
    with pytest.raises(ConfigError, match="gradient_code of layer1 takes"):
        layer.check_widths("layer1", BATCH, ROUNDING._replace(eta=2.0**26))


def test_width_of_null_is_refused_by_its_name() -> None:
    for name in ("decay_bits", "gradient_bits", "readout_weight_bits"):
        with pytest.raises(ConfigError, match=f"{name} is null"):
            layer_of(**{name: None})


def test_constants_out_of_proportion_are_refused() -> None:
    tau = torch.full((1, 1, 1), 0.01)
    with pytest.raises(ConfigError, match="takes more than 53 bits"):
        integer_traces(tau, tau, 0.001, 1e-9, 16, 16, 24)


@given(st.integers(-(2**40), 2**40), st.integers(0, 50))
def test_rounding_shifts_are_those_of_exact_numbers(x: int, by: int) -> None:
    number = torch.tensor(x)
    assert int(half_even(number, by)) == round(x / 2**by)
    assert int(half_up(number, by)) == (2 * x + 2**by) // 2 ** (by + 1)


@given(st.integers(0, 2**24))
def test_nearest_power_is_the_shift_of_floats(largest: int) -> None:
    assert 2.0 ** nearest_power(largest) == shift(torch.tensor(float(largest))).item()


@given(st.floats(1e-7, 1e6))
def test_ratio_is_off_by_less_than_its_sixteen_bits(value: float) -> None:
    multiplier, by = ratio(value)
    assert abs(multiplier * 2.0**-by / value - 1) <= 2.0**-16
