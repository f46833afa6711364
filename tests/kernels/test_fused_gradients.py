"""The kernel that does a whole forward and backward pass gives the bits of the single operations, where it is taken."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.dynamics import LIFParameters
from qsnn.kernels.backend import LayerSettings, NetPass
from qsnn.kernels.dispatch import select_backend
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba_gradients import find_operands, fused_gradients
from qsnn.quantization import initial_weights, random_stream

NUMBA = select_backend("numba", "cpu")
LIF = LIFParameters(0.75, 0.875, 0.9, 100.0, 8, 8, 8)
Arguments = tuple[Tensor, Tensor, LayerSettings, LayerSettings, float, float]


def spikes(seed: int, steps: int, batch: int, neurons: int, rate: float = 0.2) -> Tensor:
    return (torch.rand(steps, batch, neurons, generator=torch.Generator().manual_seed(seed)) < rate).float()


def net(
    seed: int, sizes: tuple[int, int, int], *, steps: int = 30, batch: int = 1, bits: int = 2, lif: LIFParameters = LIF
) -> Arguments:
    inputs, hidden, outputs = sizes
    layers = [
        LayerSettings(initial_weights(random_stream(seed, str(shape)), shape, 0.99, None), bits, 0.5, lif)
        for shape in ((inputs, hidden), (hidden, outputs))
    ]
    x, target = spikes(seed, steps, batch, inputs), spikes(seed + 1, steps, batch, outputs)
    return x, target, layers[0], layers[1], 0.75, 5e-3


def same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, Tensor):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
    elif isinstance(theirs, tuple):
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert ours == theirs or (ours != ours and theirs != theirs)


def fused(arguments: Arguments) -> NetPass:
    result = fused_gradients(*arguments)
    assert result is not None
    return result


@given(
    st.integers(0, 2**31), st.sampled_from([1, 2, 3, 4]), st.sampled_from([9, 31, 33]),
    st.sampled_from([1, 16, 65]), st.sampled_from([1, 8, 70]), st.integers(2, 5), st.integers(2, 8), st.integers(2, 8),
    st.integers(1, 3), st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_fused_pass_equals_the_single_operations(
    seed: int,
    batch: int,
    inputs: int,
    hidden: int,
    outputs: int,
    bits: int,
    state: int,
    error: int,
    threads: int,
    threshold_mask: bool,
) -> None:
    lif = LIF._replace(synapse_bits=state, membrane_bits=9 - state + 1, error_bits=error, threshold=0.3)
    lif = lif._replace(threshold_mask=threshold_mask)
    arguments, before = net(seed, (inputs, hidden, outputs), batch=batch, bits=bits, lif=lif), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert find_operands(*arguments[:4]) is not None
        same(NUMBA.net_gradients(*arguments), EAGER.net_gradients(*arguments))
    finally:
        torch.set_num_threads(before)


def test_fused_pass_is_taken_for_the_default_net_and_reaches_both_layers() -> None:
    result = fused(net(0, (70, 40, 25), steps=100))
    assert result.distance > 0
    for layer in (result.hidden, result.output):
        assert layer.activity.spikes.mean() > 0.01
        assert layer.gradient.count_nonzero() > 0


def test_fused_pass_of_a_perfect_output_has_no_gradient() -> None:
    x, _, hidden, output, decay, tau = net(0, (70, 40, 25))
    target = EAGER.net_gradients(x, spikes(1, 30, 1, 25), hidden, output, decay, tau).output.activity.spikes
    result = fused((x, target, hidden, output, decay, tau))
    assert result.distance == 0
    assert result.output.grad_current.count_nonzero() == 0
    same(result, EAGER.net_gradients(x, target, hidden, output, decay, tau))


UNSUITABLE: dict[str, Any] = {
    "wide weights": lambda a: (*a[:2], a[2]._replace(weight_bits=8), a[3]._replace(weight_bits=8), *a[4:]),
    "full precision": lambda a: (*a[:2], a[2]._replace(weight_bits=None), a[3]._replace(weight_bits=None), *a[4:]),
    "two widths": lambda a: (*a[:2], a[2], a[3]._replace(weight_bits=4), *a[4:]),
    "odd scale": lambda a: (*a[:2], a[2], a[3]._replace(scale=3.0), *a[4:]),
    "dense input": lambda a: (torch.ones_like(a[0]), *a[1:]),
    "input of other numbers": lambda a: (a[0] / 2, *a[1:]),
    "large batch": lambda a: (a[0].repeat(1, 70, 1), a[1].repeat(1, 70, 1), *a[2:]),
    "no error bits": lambda a: (*a[:2], *(layer._replace(lif=LIF._replace(error_bits=None)) for layer in a[2:4]), *a[4:]),
    "decays of each neuron": lambda a: (
        *a[:2], a[2]._replace(lif=LIF._replace(synapse_decay=torch.full((16,), 0.75))), *a[3:],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSUITABLE)
def test_what_the_fused_pass_is_not_made_for_goes_to_the_single_operations(name: str) -> None:
    arguments = UNSUITABLE[name](net(3, (20, 16, 8)))
    assert fused_gradients(*arguments) is None
    ours, theirs = NUMBA.net_gradients(*arguments), EAGER.net_gradients(*arguments)
    if name == "full precision":
        torch.testing.assert_close(ours.hidden.gradient, theirs.hidden.gradient)
    else:
        same(ours, theirs)


def test_fused_pass_of_sizes_that_do_not_match_is_an_error() -> None:
    x, target, *rest = net(0, (20, 16, 8))
    for wrong in ((x[..., :19], target), (x, target[:, :, :1]), (x, target[:29])):
        if wrong[1].shape[-1] == 1:  # torch would broadcast it
            assert fused_gradients(*wrong, *rest) is None
            continue
        with pytest.raises(RuntimeError):
            NUMBA.net_gradients(*wrong, *rest)


def test_fused_pass_leaves_dense_hidden_spikes_to_the_single_operations() -> None:
    always = LIF._replace(threshold=-10.0, membrane_bits=2)
    arguments = net(0, (20, 16, 8), lif=always)
    assert find_operands(*arguments[:4]) is not None
    assert fused_gradients(*arguments) is None
    same(NUMBA.net_gradients(*arguments), EAGER.net_gradients(*arguments))


def test_fused_pass_leaves_gradients_that_are_not_finite_to_the_single_operations() -> None:
    x, target, *rest = net(0, (20, 16, 8))
    target[3, 0, 2] = float("nan")
    assert fused_gradients(x, target, *rest) is None
    same(NUMBA.net_gradients(x, target, *rest), EAGER.net_gradients(x, target, *rest))


def test_fused_passes_of_several_callers_at_once_do_not_wait_for_one_another_for_ever() -> None:
    arguments, before = net(0, (70, 40, 25), steps=60), torch.get_num_threads()
    expected = EAGER.net_gradients(*arguments)

    def train(_: int) -> list[NetPass]:
        torch.set_num_threads(3)
        return [fused(arguments) for _ in range(20)]

    try:
        with ThreadPoolExecutor(3) as callers:
            for results in callers.map(train, range(3)):
                for result in results:
                    same(result, expected)
    finally:
        torch.set_num_threads(before)
