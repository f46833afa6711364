"""The numba operations of local learning equal their plain-torch definitions, to the last bit on grids."""

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.dynamics.local_readout import MembraneError, ReadoutParameters
from qsnn.dynamics.refractory_lif import MembraneStep, refractory_parameters
from qsnn.dynamics.traces import quantize_trace, trace_parameters, zero_traces
from qsnn.kernels.dispatch import select_local_backend
from qsnn.kernels.local_backend import LOCAL_EAGER
from qsnn.kernels.numba.runtime import openmp as numba_openmp
from qsnn.quantization import potential, quantize, symmetric, to_codes, unsigned

LOCAL_NUMBA = select_local_backend("numba")
BITS = st.none() | st.integers(1, 16)
SHAPES = st.tuples(st.sampled_from([1, 3, 8, 64]), st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
SEEDS = st.integers(0, 2**31)
MANY = settings(max_examples=40, deadline=None)


def equal(one: Tensor, other: Tensor) -> bool:
    """The same shape, type and bits (but for the sign of 0)."""
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def maps(shape: tuple[int, ...], seed: int, layout: str = "channels_last") -> Tensor:
    """Normal numbers; their memory in either format, or with gaps."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator)
    if layout == "channels_last":
        return values.contiguous(memory_format=torch.channels_last)
    return values if layout == "contiguous" else torch.stack([values, values], dim=-1)[..., 0]


@MANY
@given(SHAPES, SEEDS, BITS, BITS, st.sampled_from(["channels_last", "contiguous", "gaps"]))
def test_trace_step_equals_eager(shape: tuple[int, ...], seed: int, p_bits: int, q_bits: int, layout: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    tau_mem, tau_syn = (0.005 + scale * torch.rand(shape[1:], generator=generator) for scale in (0.03, 0.005))
    parameters = trace_parameters(tau_mem, tau_syn, 0.001, 0.5, p_bits, q_bits)
    states = [zero_traces(torch.zeros(shape)) for _ in range(2)]
    for step in range(4):
        spikes = (maps(shape, seed + step, layout) > 0.5).float()
        states = [b.trace_step(spikes, s, parameters) for b, s in zip((LOCAL_EAGER, LOCAL_NUMBA), states, strict=True)]
        assert all(equal(one, other) for one, other in zip(*states, strict=True))
    if p_bits is not None:
        levels, full_scale = 2**p_bits, parameters.membrane_full_scale
        codes = (states[1].membrane / full_scale * levels).round()
        assert 0 <= codes.min() <= codes.max() <= levels - 1
        assert equal(full_scale * (codes / levels), states[1].membrane)


@MANY
@given(SHAPES, SEEDS, BITS, BITS, st.integers(1, 5), st.sampled_from([1.0, 3.0, 4.0]))
def test_membrane_step_equals_eager(
    shape: tuple[int, ...], seed: int, r_bits: int, u_bits: int, pooling: int, scale: float
) -> None:
    pooling = min(pooling, *shape[2:])
    parameters = refractory_parameters(1 / 350, 0.001, r_bits, u_bits)._replace(scale=scale, pooling=pooling)
    drive, refractory = 4 * maps(shape, seed), maps(shape, seed + 1).abs()
    eager, numba = (b.membrane_step(drive.clone(), refractory.clone(), parameters) for b in (LOCAL_EAGER, LOCAL_NUMBA))
    exact = u_bits is not None
    for name in MembraneStep._fields:
        one, other = getattr(eager, name), getattr(numba, name)
        assert equal(one, other) or (name == "total" and not exact and torch.allclose(one, other)), name
    if exact:
        to_codes(numba.membrane, potential(u_bits))


@MANY
@given(SHAPES, SEEDS, BITS)
def test_activate_equals_eager(shape: tuple[int, ...], seed: int, bits: int) -> None:
    pooled = maps(shape, seed)
    eager, numba = (b.activate(pooled, bits) for b in (LOCAL_EAGER, LOCAL_NUMBA))
    assert all(equal(one, other) for one, other in zip(eager[:3], numba[:3], strict=True))
    assert torch.allclose(eager.total, numba.total)
    if bits is not None:
        to_codes(numba.feature, unsigned(bits))


@MANY
@given(st.integers(1, 40), st.integers(1, 11), SEEDS, BITS)
def test_readout_error_equals_eager(batch: int, classes: int, seed: int, bits: int) -> None:
    readout, target, mask = (maps((batch, classes, 1, 1), seed + n).flatten(1) for n in range(3))
    mask, target = (mask > 0).float(), (target > 1).float()
    eager, numba = (b.readout_error(readout, target, mask, bits) for b in (LOCAL_EAGER, LOCAL_NUMBA))
    assert equal(eager.error, numba.error)
    assert torch.allclose(eager.fit, numba.fit)


@MANY
@given(SHAPES, SEEDS, BITS, st.integers(1, 3), st.sampled_from([0.0, 0.001, 10.0]))
def test_membrane_error_equals_eager(shape: tuple[int, ...], seed: int, bits: int, pooling: int, l2: float) -> None:
    pooling = min(pooling, *shape[2:])
    lif = refractory_parameters(1 / 350, 0.001, 2, 6)._replace(pooling=pooling)
    step = LOCAL_EAGER.membrane_step(maps(shape, seed), torch.zeros(shape), lif)
    weight = torch.zeros(1, 1)
    parameters = ReadoutParameters(weight, weight, 1.0, 6, 6, bits, 0.001, l2, pooling)
    back, activation = maps(step.pooled.shape, seed + 1), step.pooled.sigmoid()
    eager, numba = (b.membrane_error(back, activation, step, parameters) for b in (LOCAL_EAGER, LOCAL_NUMBA))
    assert equal(eager.at_winners, numba.at_winners)
    assert equal(eager.dense(), numba.dense())
    if bits is not None:
        to_codes(numba.dense(), symmetric(bits))


GEOMETRIES = st.tuples(
    st.sampled_from([1, 3, 64]),
    st.integers(1, 5),
    st.integers(3, 9),
    st.integers(3, 9),
    st.integers(1, 3),
    st.integers(0, 2),
)


@MANY
@given(GEOMETRIES, st.integers(1, 20), SEEDS, BITS, BITS, st.integers(1, 3), st.sampled_from(["channels_last", "gaps"]))
def test_weight_gradient_equals_eager(
    geometry: tuple[int, ...], outputs: int, seed: int, e_bits: int, p_bits: int, pooling: int, layout: str
) -> None:
    *shape, kernel, padding = geometry
    parameters = trace_parameters(torch.full((1, 1, 1), 0.02), torch.full((1, 1, 1), 0.01), 0.001, 0.9, p_bits, 10)
    trace = quantize_trace(
        parameters.membrane_full_scale * maps(tuple(shape), seed, layout), parameters.membrane_full_scale, p_bits
    )
    sides = [side + 2 * padding - kernel + 1 for side in shape[2:]]
    pooling = min(pooling, *sides)
    pool = refractory_parameters(1 / 350, 0.001, 2, 6)._replace(pooling=pooling)
    drive = maps((shape[0], outputs, *sides), seed + 1)
    step = LOCAL_EAGER.membrane_step(drive, torch.zeros(drive.shape), pool)
    codes = quantize(maps(tuple(step.pooled.shape), seed + 2, layout) * (drive.sum() > 0), symmetric(e_bits))
    for elsewhere in (0.0, 0.25):
        rest = quantize(torch.tensor(elsewhere), symmetric(e_bits))
        error = MembraneError(codes, step.winner, rest, tuple(sides), e_bits)
        weight = torch.empty(outputs, shape[1], kernel, kernel)
        eager, numba = (
            b.weight_gradient(error, trace, weight, padding, parameters) for b in (LOCAL_EAGER, LOCAL_NUMBA)
        )
        for one, other in zip(eager, numba, strict=True):
            exact = None not in (e_bits, p_bits)
            assert equal(one, other) or (not exact and torch.allclose(one, other, 1e-5, 1e-5 * one.abs().max().item()))


def step_and_gradients(bits: int | None) -> list[Tensor]:
    """Every numba operation of a layer's time step once, on numbers that are always the same."""
    traces = trace_parameters(torch.full((2, 32, 32), 0.02), torch.full((2, 32, 32), 0.01), 0.001, 0.9, bits, bits)
    pool = refractory_parameters(1 / 350, 0.001, bits, bits)._replace(pooling=2)
    state = LOCAL_NUMBA.trace_step(
        (maps((9, 2, 32, 32), 0) > 1).float(), zero_traces(torch.zeros(9, 2, 32, 32)), traces
    )
    state = LOCAL_NUMBA.trace_step((maps((9, 2, 32, 32), 1) > 1).float(), state, traces)
    step = LOCAL_NUMBA.membrane_step(maps((9, 40, 32, 32), 2), maps((9, 40, 32, 32), 3).abs(), pool)
    activation = LOCAL_NUMBA.activate(step.pooled, bits)
    parameters = ReadoutParameters(torch.zeros(1, 1), torch.zeros(1, 1), 1.0, 6, 6, bits, 0.001, 0.001, 2)
    error = LOCAL_NUMBA.membrane_error(maps(tuple(step.pooled.shape), 4), activation.value, step, parameters)
    gradient = LOCAL_NUMBA.weight_gradient(error, state.membrane, torch.empty(40, 2, 5, 5), 2, traces)
    return [*state, *step, *activation, error.at_winners, error.elsewhere, *gradient]


@pytest.mark.parametrize("bits", [6, 16, None])
def test_results_do_not_depend_on_the_number_of_threads(bits: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_openmp, "GRAIN", 1)  # share the smallest work too
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(step_and_gradients(bits))
    finally:
        torch.set_num_threads(threads)
    assert all(equal(one, other) for result in results[1:] for one, other in zip(results[0], result, strict=True))


def test_failure_of_a_part_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_openmp, "GRAIN", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def fails(begin: int, end: int) -> int:
        if begin > 0:
            raise ValueError("part")
        return end

    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    with pytest.raises((RuntimeError, ValueError), match="part"):
        numba_openmp.share(fails, 2, 2)


@pytest.mark.parametrize("pooling", [1, 2, 3, 4, 5])
def test_not_a_number_stays_visible(pooling: int) -> None:
    drive = maps((2, 3, 6, 6), 0)
    drive[0, 1, 2, 2] = float("nan")
    parameters = refractory_parameters(1 / 350, 0.001, 2, 6)._replace(pooling=pooling)
    for backend in (LOCAL_EAGER, LOCAL_NUMBA):
        step = backend.membrane_step(drive.clone(), torch.zeros_like(drive), parameters)
        assert step.membrane.isnan().any()
        assert step.pooled.isnan().any()
        assert step.total.isnan()
