"""The numba operations of local learning in integers equal their plain-torch definitions, in type and value."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.dynamics.integer_local.fixed_point import code_type, highest_code
from qsnn.dynamics.integer_local.membrane import bias_term, integer_membrane
from qsnn.dynamics.integer_local.readout import IntegerReadout, ReadoutFormats, integer_readout
from qsnn.dynamics.integer_local.rounding import gradient_codes
from qsnn.dynamics.integer_local.traces import integer_traces
from qsnn.dynamics.local_readout import MembraneError
from qsnn.dynamics.refractory_lif import MembraneStep, refractory_parameters
from qsnn.dynamics.traces import TraceState
from qsnn.kernels.backend import GradientRounding
from qsnn.kernels.dispatch import select_integer_local_backend
from qsnn.kernels.integer_local_backend import INTEGER_LOCAL_EAGER as EAGER
from qsnn.quantization import quantize_gradient, random_stream

NUMBA = select_integer_local_backend("numba")
BITS = st.integers(1, 16)
SHAPES = st.tuples(st.sampled_from([1, 3, 8, 33]), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
SEEDS = st.integers(0, 2**31)
MANY = settings(max_examples=15, deadline=None)


def equal(one: Tensor, other: Tensor) -> bool:
    """The same shape, type and values."""
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)


def integers(shape: tuple[int, ...], low: int, high: int, seed: int, layout: str = "channels_last") -> Tensor:
    """Uniform from low to high, int64; their memory in either format."""
    values = torch.randint(low, high + 1, shape, generator=torch.Generator().manual_seed(seed))
    return values.contiguous(memory_format=torch.channels_last) if layout == "channels_last" else values


def codes(shape: tuple[int, ...], bits: int, seed: int, layout: str = "channels_last") -> Tensor:
    """Of an unsigned format."""
    return integers(shape, 0, 2**bits - 1, seed, layout).to(code_type(bits, signed=False))


@MANY
@given(SHAPES, SEEDS, BITS, BITS, st.integers(1, 24), st.sampled_from(["channels_last", "contiguous"]))
def test_trace_step_equals_eager(
    shape: tuple[int, ...], seed: int, p_bits: int, q_bits: int, decay_bits: int, layout: str
) -> None:
    generator = torch.Generator().manual_seed(seed)
    tau_mem, tau_syn = (0.005 + size * torch.rand(shape[1:], generator=generator) for size in (0.03, 0.005))
    traces = integer_traces(tau_mem, tau_syn, 0.001, 0.5, p_bits, q_bits, decay_bits)
    spikes = integers(shape, -1, 1, seed, layout).float()
    states = [TraceState(codes(shape, p_bits, seed, layout), codes(shape, q_bits, seed + 1, layout)) for _ in range(2)]
    for _ in range(3):
        states = [b.trace_step(spikes, s, traces) for b, s in zip((EAGER, NUMBA), states, strict=True)]
        assert all(equal(one, other) for one, other in zip(*states, strict=True))
    for trace, bits in zip(states[0], (p_bits, q_bits), strict=True):
        assert 0 <= trace.min() <= trace.max() <= 2**bits - 1


@MANY
@given(SHAPES, SEEDS, BITS, BITS, st.integers(1, 5), st.sampled_from([torch.float32, torch.int32, torch.int64]))
def test_membrane_step_equals_eager(
    shape: tuple[int, ...], seed: int, r_bits: int, u_bits: int, pooling: int, kind: torch.dtype
) -> None:
    pooling = min(pooling, *shape[2:])
    parameters = refractory_parameters(1 / 350, 0.001, r_bits, u_bits, 16)._replace(pooling=pooling)
    membrane = integer_membrane(4e-3 / 128, 1000.0, 12, parameters)
    sums = integers(shape, -(2**20), 2**20, seed).to(kind)
    bias = bias_term(integers((shape[1],), -127, 127, seed, "contiguous"), membrane)
    before = codes(shape, r_bits, seed)
    eager, numba = (b.membrane_step(sums, bias, before.clone(), membrane) for b in (EAGER, NUMBA))
    for name in MembraneStep._fields:
        assert equal(getattr(eager, name), getattr(numba, name)), name
    assert eager.membrane.abs().max() <= highest_code(u_bits)
    assert u_bits > 1 or bool((eager.membrane != 0).all())


def readout_of(u_bits: int, z_bits: int, e_bits: int, pooling: int, l1: float, l2: float) -> IntegerReadout:
    weight = torch.ones(2, 3, dtype=torch.int32)
    return integer_readout(weight, weight, ReadoutFormats(u_bits, z_bits, 6, 6, e_bits, 3), l1, l2, pooling)


@MANY
@given(SHAPES, SEEDS, BITS, BITS)
def test_activate_equals_eager(shape: tuple[int, ...], seed: int, u_bits: int, z_bits: int) -> None:
    readout, high = readout_of(u_bits, z_bits, 6, 1, 0.0, 0.0), highest_code(u_bits)
    pooled = integers(shape, -high, high, seed).to(torch.int16)
    eager, numba = (b.activate(pooled, readout) for b in (EAGER, NUMBA))
    assert all(equal(one, other) for one, other in zip(eager[:3], numba[:3], strict=True))
    assert int(eager.total) == int(numba.total)


@MANY
@given(
    SHAPES, SEEDS, BITS, BITS, st.integers(1, 3), st.sampled_from([0.0, 1e-3, 1e3, 1e5]), st.sampled_from([0, 1, 9999])
)
def test_membrane_error_equals_eager(
    shape: tuple[int, ...], seed: int, u_bits: int, e_bits: int, pooling: int, l2: float, largest: int
) -> None:
    pooling = min(pooling, *shape[2:])
    readout, high = readout_of(u_bits, 6, e_bits, pooling, l2 / 7, l2), highest_code(u_bits)
    u = integers(shape, -high, high, seed).to(torch.int16)
    pooled, winner = torch.nn.functional.max_pool2d(u.double(), pooling, return_indices=True)
    pooled = pooled.to(torch.int16)
    step = MembraneStep(u, u, pooled, winner.to(torch.int32), u.sum(), (u >= 0).sum())
    back = integers(tuple(pooled.shape), -largest, largest, seed + 1).float()
    eager, numba = (b.membrane_error(back, step, readout) for b in (EAGER, NUMBA))
    assert equal(eager.at_winners, numba.at_winners)
    assert equal(eager.elsewhere, numba.elsewhere)
    assert eager.dense().abs().max() <= highest_code(e_bits)


GEOMETRIES = st.tuples(
    st.sampled_from([1, 3, 17]), st.integers(1, 4), st.integers(3, 9), st.integers(3, 9), st.integers(1, 3), st.integers(0, 2)
)  # fmt: skip


@MANY
@given(GEOMETRIES, st.integers(1, 20), SEEDS, BITS, BITS, BITS, st.integers(1, 3))
def test_drive_and_weight_gradient_equal_eager(
    geometry: tuple[int, ...], outputs: int, seed: int, e_bits: int, p_bits: int, w_bits: int, pooling: int
) -> None:
    *shape, kernel, padding = geometry
    trace, high = codes(tuple(shape), p_bits, seed), highest_code(e_bits)
    extent = (outputs, shape[1], kernel, kernel)
    weight = integers(extent, -highest_code(w_bits), highest_code(w_bits), seed + 1).to(torch.int16)
    eager, numba = (b.drive(trace, weight, padding, p_bits) for b in (EAGER, NUMBA))
    assert equal(eager, numba.to(torch.int64))
    pooling = min(pooling, *eager.shape[2:])
    pooled, winner = torch.nn.functional.max_pool2d(eager.double(), pooling, return_indices=True)
    errors = integers(tuple(pooled.shape), -high, high, seed + 2).to(torch.int16)
    for elsewhere in (0, high // 2):
        rest = torch.tensor(elsewhere, dtype=torch.int16)
        error = MembraneError(errors, winner.to(torch.int32), rest, tuple(eager.shape[2:]), e_bits)
        sums = [b.weight_gradient(error, trace, kernel, padding, p_bits) for b in (EAGER, NUMBA)]
        assert all(equal(one, other) for one, other in zip(*sums, strict=True))


@pytest.mark.parametrize("pooling", [1, 2])
@pytest.mark.parametrize("p_bits", [12, 15])
def test_products_of_sixteen_bits_equal_eager(pooling: int, p_bits: int) -> None:
    trace = codes((3, 32, 12, 12), p_bits, 0)
    weight = integers((32, 32, 5, 5), -127, 127, 1).to(torch.int16)
    eager, numba = (b.drive(trace, weight, 2, p_bits) for b in (EAGER, NUMBA))
    assert equal(eager, numba.to(torch.int64))
    pooled, winner = torch.nn.functional.max_pool2d(eager.double(), pooling, return_indices=True)
    errors = integers(tuple(pooled.shape), -31, 31, 2).to(torch.int16)
    error = MembraneError(errors, winner.to(torch.int32), torch.tensor(-3, dtype=torch.int16), (12, 12), 6)
    sums = [b.weight_gradient(error, trace, 5, 2, p_bits) for b in (EAGER, NUMBA)]
    assert all(equal(one, other) for one, other in zip(*sums, strict=True))


@MANY
@given(
    st.integers(1, 5), st.integers(1, 40), SEEDS, st.integers(0, 45), st.integers(-20, 6), st.integers(1, 24), BITS
)  # fmt: skip
def test_round_gradient_equals_eager_and_the_float_rule(
    outputs: int, size: int, seed: int, bits: int, log_eta: int, rng_bits: int, g_bits: int
) -> None:
    gradient = integers((outputs, size), -(2**bits), 2**bits, seed, "contiguous")
    rounding = GradientRounding(2.0**log_eta, g_bits, rng_bits, "unbiased")
    stream = random_stream(seed, "any")
    eager, numba = (b.round_gradient(gradient, stream, rounding) for b in (EAGER, NUMBA))
    assert equal(eager.gradient, numba.gradient)
    assert eager[1:] == numba[1:]
    if bits < 24:
        random = integers((outputs, size), 0, 2**rng_bits - 1, seed, "contiguous")
        ours = gradient_codes(gradient, random, rounding.eta, rng_bits).float() / 2 ** (g_bits - 1)
        theirs = quantize_gradient(
            gradient.float(), random.float(), eta=rounding.eta, gradient_bits=g_bits, rng_bits=rng_bits,
            rng_rule="unbiased",
        )  # fmt: skip
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_rounding_does_not_depend_on_the_number_of_threads(threads: int) -> None:
    gradient, rounding = integers((64, 3000), -999, 999, 0, "contiguous"), GradientRounding(4.0, 10, 16, "unbiased")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = NUMBA.round_gradient(gradient, random_stream(0, "any"), rounding)
    finally:
        torch.set_num_threads(before)
    assert equal(found.gradient, EAGER.round_gradient(gradient, random_stream(0, "any"), rounding).gradient)
