"""The integrator of a membrane readout: autograd of its equations in floats, whole numbers on grids, and what few bits do."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from integer_nets import Fixed, add, error, quantized, within
from torch import Tensor

from qsnn.dynamics import LIFState
from qsnn.dynamics.integrator import (
    IntegratorActivity,
    IntegratorParameters,
    integrator_backward,
    integrator_sequence,
)

SHAPE = (9, 2, 3)


def passes(current: Tensor, grad: Tensor, parameters: IntegratorParameters) -> tuple[IntegratorActivity, Tensor]:
    rest = LIFState.zeros(current[0])
    activity = integrator_sequence(current, rest, parameters)
    return activity, integrator_backward(grad, current, activity, rest, parameters)


@pytest.mark.parametrize(("alpha", "beta"), [(0.75, 0.96875), (0.0, 0.9), (0.6, 0.0)])
def test_integrator_backward_equals_autograd_in_full_precision(alpha: float, beta: float) -> None:
    generator = torch.Generator().manual_seed(0)
    current, grad = (torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(2))
    leaf, syn, mem, outputs = current.clone().requires_grad_(), torch.zeros(SHAPE[1:]), torch.zeros(SHAPE[1:]), []
    for step in leaf:
        outputs.append(mem)
        syn, mem = alpha * syn + step, beta * mem + syn
    (torch.stack(outputs) * grad).sum().backward()
    activity, found = passes(current, grad, IntegratorParameters(alpha, beta, None, None))
    assert torch.allclose(activity.output, torch.stack(outputs).detach(), rtol=1e-12)
    assert leaf.grad is not None
    assert torch.allclose(found, leaf.grad, rtol=1e-10, atol=1e-14)


def whole_numbers(
    current: np.ndarray, grad: np.ndarray, fine: int, bits: int, error_bits: int
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the readout and of g_h, at decays 3/4 and 31/32; ``current`` in steps of 2^-fine."""
    zero = np.zeros_like(current[0])
    syn = mem = Fixed(zero, bits - 1)
    outputs, raws = [], []
    for codes in current:
        outputs.append(mem.codes)
        raw_syn = add(Fixed(3 * syn.codes, syn.exponent + 2), Fixed(codes, fine))
        raw_mem = add(Fixed(31 * mem.codes, mem.exponent + 5), syn)
        raws.append((raw_syn, raw_mem))
        syn, mem = quantized(raw_syn, bits), quantized(raw_mem, bits)
    g_syn, g_mem, found = zero, zero, []
    for codes, (raw_syn, raw_mem) in zip(grad[::-1], raws[::-1], strict=True):
        e_mem = error(g_mem, error_bits).codes * within(raw_mem, bits)
        e_syn = error(g_syn, error_bits).codes * within(raw_syn, bits)
        found.append(e_syn)
        g_syn, g_mem = 3 * e_syn + (e_mem << 2), 31 * e_mem + (error(codes, error_bits).codes << 5)
    return np.array(outputs), np.array(found[::-1])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), bits=st.integers(2, 10), error_bits=st.integers(2, 10), fine=st.integers(3, 8))
def test_integrator_equals_whole_numbers_code_for_code(seed: int, bits: int, error_bits: int, fine: int) -> None:
    rng = np.random.default_rng(seed)
    current, grad = rng.integers(-(2**fine), 2**fine, SHAPE), rng.integers(-9, 10, SHAPE)
    grad[rng.random(SHAPE[0]) < 0.5] = 0  # as of a maximum over time
    outputs, errors = whole_numbers(current, grad, fine, bits, error_bits)
    floats = torch.from_numpy(current / 2**fine).float(), torch.from_numpy(grad).float()
    activity, found = passes(*floats, IntegratorParameters(0.75, 0.96875, bits, error_bits))
    assert (activity.output.numpy() * 2 ** (bits - 1) == outputs).all()
    assert (found.numpy() * 2 ** (error_bits - 1) == errors).all()


def test_integrator_masks_errors_at_its_states() -> None:
    current, grad = torch.zeros(4, 1, 1), torch.zeros(4, 1, 1)
    current[0], grad[3] = 5.0, 1.0  # the synapse is clamped, so its error of step 0 is lost; step 1 is in range
    _, found = passes(current, grad, IntegratorParameters(0.75, 0.0, 8, 8))
    assert found[0] == 0
    _, free = passes(current, grad, IntegratorParameters(0.75, 0.0, None, 8))
    assert free[0] > 0
    assert free[1] == found[1] > 0


def test_integrator_freezes_below_half_the_range_at_8_bits_and_slow_decay() -> None:
    slow = IntegratorParameters(0.0, 127 / 128, 8, 8)
    for code, moves in ((50, False), (63, False), (70, True)):
        start = LIFState(torch.zeros(1, 1), torch.full((1, 1), code / 128))
        last = integrator_sequence(torch.zeros(40, 1, 1), start, slow).membrane[-1]
        assert (last.item() != code / 128) is moves


def test_integrator_says_the_membrane_from_before_the_step() -> None:
    current = torch.zeros(4, 1, 1)
    current[0] = 1.0
    activity, _ = passes(current, torch.zeros_like(current), IntegratorParameters(0.5, 0.5, None, None))
    assert activity.output.flatten().tolist() == [0, 0, 1, 1]
    assert activity.membrane.flatten().tolist() == [0, 1, 1, 0.75]
