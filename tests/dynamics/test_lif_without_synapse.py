"""Neurons ``lif`` and ``if``: against loops written here, plain autograd, and the kernels."""

import logging
from pathlib import Path

import pytest
import torch
from helpers import make_run
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFState
from qsnn.dynamics.integrate_and_fire import IF
from qsnn.dynamics.lif import LIF, LeakyParameters
from qsnn.kernels.backend import Backend
from qsnn.kernels.dispatch import select_backend
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.rounding.calls import tell_of_definition
from qsnn.losses import VanRossumDistance
from qsnn.models import build_feedforward
from qsnn.options import options_of
from qsnn.quantization import symmetric, to_codes
from qsnn.quantization.bit_widths import BitWidths

NUMBA = select_backend("numba", "cpu")
NEURONS = {"lif": LIF(), "if": IF()}
DECAYS = {"lif": 0.875, "if": 1.0}
EITHER = pytest.mark.parametrize("neuron", NEURONS)
WIDTHS = pytest.mark.parametrize("bits", [None, 4, 6, 8])


def parameters(neuron: str, bits: int | None, slope: float = 1.0) -> LeakyParameters:
    """With as many bits for errors as for the membrane, and a threshold that 4 bits reach."""
    return NEURONS[neuron].build(None, bits, bits)._replace(threshold=0.6, surrogate_slope=slope)


def current(steps: int = 40, batch: int = 2, neurons: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(steps, batch, neurons, generator=generator) / 2 + 0.2


def at_rest(x: Tensor) -> LIFState:
    return LIFState.zeros(x[0])


def rounded(value: float, bits: int | None) -> float:
    """To the nearest code of 2^-(bits-1), ties to even codes, at most 1 - 2^-(bits-1) in size."""
    if bits is None:
        return value
    levels = 2 ** (bits - 1)
    return max(1 - levels, min(levels - 1, round(value * levels))) / levels


def slow_neuron(currents: list[float], decay: float, threshold: float, bits: int | None) -> list[tuple[bool, float]]:
    """A neuron's spike and membrane after each step, in Python's own numbers."""
    membrane, done = 0.0, []
    for given in currents:
        spike = rounded(membrane - threshold, bits) > 0
        membrane = rounded(decay * membrane + given - spike, bits)
        done.append((spike, membrane))
    return done


@EITHER
@WIDTHS
def test_neuron_without_synapse_equals_a_loop_over_neurons_and_steps(
    neuron: str, bits: int | None, backend: Backend
) -> None:
    x, p = (current() * 64).round() / 64, parameters(neuron, bits)
    activity = backend.lif_sequence(x, at_rest(x), p)
    for b in range(x.shape[1]):
        for n in range(x.shape[2]):
            spikes, membranes = zip(*slow_neuron(x[:, b, n].tolist(), DECAYS[neuron], 0.6, bits), strict=True)
            assert activity.spikes[:, b, n].tolist() == list(spikes)
            assert activity.membrane[:, b, n].tolist() == pytest.approx(
                list(membranes), abs=1e-5 if bits is None else 0
            )
    assert 0 < activity.spikes.mean() < 1
    if bits is not None:
        to_codes(activity.membrane, symmetric(bits))


class _SuperSpike(torch.autograd.Function):
    """The spike of the plain autograd loop."""

    @staticmethod
    def forward(ctx, distance: Tensor, slope: float) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(distance)
        ctx.slope = slope
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def, override]
        (distance,) = ctx.saved_tensors
        return grad / (ctx.slope * distance.abs() + 1) ** 2, None


def autograd_neuron(x: Tensor, decay: float, threshold: float, slope: float) -> Tensor:
    """An ordinary float neuron as anybody would write it, with an autograd graph per step."""
    membrane, spikes = torch.zeros_like(x[0]), []
    for given in x:
        spike = _SuperSpike.apply(membrane - threshold, slope)
        membrane = decay * membrane + given - spike.detach()
        spikes.append(spike)
    return torch.stack(spikes)


@EITHER
@pytest.mark.parametrize("slope", [1.0, 100.0])
def test_gradients_in_full_precision_are_those_of_plain_autograd(neuron: str, slope: float, backend: Backend) -> None:
    x, p = current().requires_grad_(), parameters(neuron, None, slope)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    spikes = autograd_neuron(x, DECAYS[neuron], 0.6, slope)
    (spikes * weights).sum().backward()
    activity = backend.lif_sequence(x.detach(), at_rest(x.detach()), p)
    assert torch.equal(activity.spikes, spikes.detach())
    ours = backend.lif_sequence_backward(weights, x.detach(), activity, at_rest(x.detach()), p)
    assert x.grad is not None
    torch.testing.assert_close(ours, x.grad, rtol=1e-4, atol=1e-5)
    assert ours[:-1].count_nonzero() > 0
    assert ours[-1].count_nonzero() == 0  # what arrives in the last step makes no spike any more


@EITHER
def test_errors_are_rounded_and_stopped_where_the_membrane_was_beyond_its_range(neuron: str, backend: Backend) -> None:
    p = parameters(neuron, 8)
    x = torch.tensor([[0.25, 3.0], [0.0, 0.0], [0.0, 0.0]])[:, None]  # the second one's membrane saturates at once
    activity = backend.lif_sequence(x, at_rest(x), p)
    back = backend.lif_sequence_backward(torch.ones(3, 1, 2), x, activity, at_rest(x), p)
    assert back[0, 0, 0] != 0
    assert back[0, 0, 1] == 0
    to_codes(back, symmetric(8))


@EITHER
def test_sequence_in_two_parts_is_the_sequence_in_one(neuron: str, backend: Backend) -> None:
    x, p = current(), parameters(neuron, 8)
    whole, first = backend.lif_sequence(x, at_rest(x), p), backend.lif_sequence(x[:17], at_rest(x), p)
    second = backend.lif_sequence(x[17:], LIFState(first.synapse[-1], first.membrane[-1]), p)
    for part in range(3):
        assert torch.equal(whole[part], torch.cat([first[part], second[part]]))


def test_integrator_keeps_what_it_has_received_and_the_leaky_one_does_not() -> None:
    x = torch.tensor([0.5, 0, 0, 0, 0.25, 0, 0]).reshape(7, 1, 1)
    membranes = [EAGER.lif_sequence(x, at_rest(x), parameters(neuron, 8)).membrane.flatten() for neuron in NEURONS]
    lost, kept = (membrane.tolist() for membrane in membranes)
    assert kept == [0.5, 0.5, 0.5, 0.5, 0.75, -0.25, -0.25]
    assert lost[:4] == [0.5, 0.4375, 0.3828125, 0.3359375]


def test_options_build_the_decay_of_their_rule_and_no_synapse() -> None:
    assert options_of("neuron")["lif"] is LIF
    assert options_of("neuron")["if"] is IF
    assert LIF(tau_mem=0.01, decay="euler").build(8, 6, 4) == LeakyParameters(0.9, 0.9, 1.0, 6, 4)
    assert LIF(membrane_decay=0.5, threshold=0.7, threshold_mask=True).build(8, 6, 4) == LeakyParameters(
        0.5, 0.7, 1.0, 6, 4, True
    )
    assert IF(surrogate_slope=3.0).build(8, None, None) == LeakyParameters(1.0, 0.9, 3.0, None, None)
    assert next(LIF(tau_mem=0.0004, decay="euler").problems()).startswith("neuron.tau_mem: ")
    assert next(LIF(membrane_decay=1.0).problems()).startswith("neuron.membrane_decay=1.0 is not possible")


@EITHER
@WIDTHS
def test_numba_has_the_bits_of_the_definition(neuron: str, bits: int | None) -> None:
    x, p = current(), parameters(neuron, bits)
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    initial = LIFState(torch.zeros(2, 7), torch.full((2, 7), 0.25))
    for state in (None, initial):
        passes: list[tuple[LIFActivity, Tensor]] = []
        for backend in (EAGER, NUMBA):
            activity = backend.lif_sequence(x, state, p)
            passes.append((activity, backend.lif_sequence_backward(grad, x, activity, state, p)))
        (ours, back), (theirs, their_back) = passes
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert torch.equal(back, their_back)


class Own(LeakyParameters):
    """Somebody's neuron, which may compute anything else."""


def test_numba_says_once_that_a_neuron_runs_on_its_definition(caplog: pytest.LogCaptureFixture) -> None:
    tell_of_definition.cache_clear()
    caplog.set_level(logging.INFO)
    x = current()
    for neuron in NEURONS:
        for kind in (LeakyParameters, Own):
            p = kind(*parameters(neuron, 8))
            activity = NUMBA.lif_sequence(x, None, p)
            NUMBA.lif_sequence_backward(torch.ones_like(x), x, activity, None, p)
    told = [record.getMessage() for record in caplog.records if "no kernel of its own" in record.getMessage()]
    assert told == ["Own has no kernel of its own: it runs on its definition in plain torch"]


@EITHER
@pytest.mark.parametrize("weight_bits", [None, 2, 8])
def test_gradients_of_a_net_without_a_graph_are_those_of_autograd(
    neuron: str, weight_bits: int | None, backend: Backend
) -> None:
    bits = BitWidths(weight_bits=weight_bits, membrane_bits=8, synapse_bits=8)
    settings = {"fan_in": None, "init_beta": None, "seed": 0, "backend": backend}
    net = build_feedforward([20, 15, 10], [bits] * 2, [parameters(neuron, 8)] * 2, **settings)  # type: ignore[arg-type]
    x, target = ((torch.rand(40, 3, n, generator=torch.Generator().manual_seed(n)) < 0.3).float() for n in (20, 10))
    activity, _ = net(x)
    loss = VanRossumDistance(0.75, 5e-3, backend)
    distance = loss(activity["output"].spikes, target)
    distance.backward()
    found = net.gradients(x, target, loss)
    assert found.loss == distance.item()
    for name in net.layers:
        assert all(torch.equal(a, b) for a, b in zip(found.activity[name], activity[name], strict=True))
    for name, linear in net.weights().items():
        assert torch.equal(found.weights[name], linear.gradient())
        assert found.weights[name].count_nonzero() > 0


@EITHER
def test_training_gives_the_same_bits_with_every_backend(neuron: str, tmp_path: Path) -> None:
    words = [f"neuron={neuron}", "neuron.threshold=0.25", "optimizer=sgd"]
    runs = [make_run(tmp_path, *words, f"kernels={name}") for name in ("eager", "numba")]
    distances = [[run.learn_batch()[0].loss for _ in range(4)] for run in runs]
    assert distances[0] == distances[1]
    assert len(set(distances[0])) == 4  # it learns
    one, other = (run.state.model.state_dict() for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in one)
