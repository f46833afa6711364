"""The LIF recurrence: golden vectors over every backend, plain autograd, batches, states, per-neuron decays."""

from pathlib import Path

import pytest
import torch
from helpers import golden_pattern
from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFParameters, LIFState
from qsnn.kernels.backend import Backend
from qsnn.kernels.eager import EAGER
from qsnn.quantization import symmetric, to_codes

QUANTIZED = ["small_w1s6g8e2", "small_w2s8g8e8", "small_w4s6g8e4", "small_w8s8g8e8", "full_w2s8g8e8"]
PARAMETERS = LIFParameters(0.75, 0.875, 0.9, 100.0, 8, 8, 8)
FLOAT = PARAMETERS._replace(synapse_bits=None, membrane_bits=None, error_bits=None)


def current(steps: int = 40, batch: int = 2, neurons: int = 7, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(steps, batch, neurons, generator=generator) * 32).round() / 64 + 0.125


def run(backend: Backend, x: Tensor, parameters: LIFParameters) -> LIFActivity:
    return backend.lif_sequence(x, LIFState.zeros(x[0]), parameters)


@pytest.mark.parametrize("name", QUANTIZED)
def test_lif_equals_the_golden_spikes_and_states(name: str, golden: Path, backend: Backend) -> None:
    g = golden_pattern(golden / f"pattern_{name}.npz")
    for layer in "12":
        activity = run(backend, getattr(g, f"current{layer}"), g.lif)
        assert torch.equal(activity.spikes, getattr(g, f"spk{layer}"))
        assert torch.equal(activity.membrane, getattr(g, f"mem{layer}"))
        to_codes(activity.membrane, symmetric(g.lif.membrane_bits))
        to_codes(activity.synapse, symmetric(g.lif.synapse_bits))


def test_state_range_gives_room_above_the_threshold_and_as_many_codes(backend: Backend) -> None:
    wide = run(backend, 4 * current(), PARAMETERS._replace(state_range=4.0))
    for state in wide.synapse, wide.membrane:
        to_codes(state, symmetric(8, 4.0))
        assert 1 < state.abs().max() <= 4 - 4 / 128


@pytest.mark.parametrize("name", QUANTIZED)
def test_lif_backward_equals_the_golden_errors_of_the_output_layer(name: str, golden: Path, backend: Backend) -> None:
    g = golden_pattern(golden / f"pattern_{name}.npz")
    tau, decay = float(g.tau), g.lif.synapse_decay
    activity = run(backend, g.current2, g.lif)
    distance, difference = backend.van_rossum_distance(activity.spikes, g.y, decay, tau)
    grad = backend.van_rossum_gradient(difference, distance, decay, tau)
    ours = backend.lif_sequence_backward(grad, g.current2, activity, LIFState.zeros(g.current2[0]), g.lif)
    assert torch.equal(ours, g.dcurrent2)


class _SuperSpike(torch.autograd.Function):
    """The spike of the plain autograd loop that the hand-written backward is compared with."""

    @staticmethod
    def forward(ctx, distance: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def, override]
        (distance,) = ctx.saved_tensors
        return grad / (100 * distance.abs() + 1) ** 2


def autograd_lif(x: Tensor, p: LIFParameters) -> Tensor:
    """An ordinary float LIF as anybody would write it, with an autograd graph per step."""
    synapse = membrane = torch.zeros_like(x[0])
    spikes = []
    for t in range(x.shape[0]):
        spike = _SuperSpike.apply(membrane - p.threshold)
        membrane = p.membrane_decay * membrane + synapse - spike.detach()
        synapse = p.synapse_decay * synapse + x[t]
        spikes.append(spike)
    return torch.stack(spikes)


def test_lif_in_full_precision_is_an_ordinary_lif_with_superspike_gradient(backend: Backend) -> None:
    x = current().requires_grad_()
    weights = torch.randn_like(x)
    spikes = autograd_lif(x, FLOAT)
    (spikes * weights).sum().backward()
    activity = run(backend, x.detach(), FLOAT)
    assert torch.equal(activity.spikes, spikes.detach())
    ours = backend.lif_sequence_backward(weights, x.detach(), activity, LIFState.zeros(x[0]), FLOAT)
    assert torch.allclose(ours, x.grad, rtol=1e-5, atol=1e-7)


def test_lif_reset_subtracts_one_and_spikes_strictly_above_the_threshold() -> None:
    x = torch.tensor([0.5, 0.0, 0.0, 0.0, 0.0]).reshape(5, 1, 1)
    p = FLOAT._replace(synapse_decay=1.0, membrane_decay=1.0, threshold=1.0)
    activity = run(EAGER, x, p)
    assert activity.membrane.flatten().tolist() == [0.0, 0.5, 1.0, 1.5, 1.0]
    assert activity.spikes.flatten().tolist() == [0, 0, 0, 0, 1]


def test_lif_sequence_in_two_parts_is_the_sequence_in_one(backend: Backend) -> None:
    x = current()
    whole = run(backend, x, PARAMETERS)
    first = run(backend, x[:17], PARAMETERS)
    second = backend.lif_sequence(x[17:], LIFState(first.synapse[-1], first.membrane[-1]), PARAMETERS)
    for part in range(3):
        assert torch.equal(whole[part], torch.cat([first[part], second[part]]))


def test_lif_sequences_of_a_batch_do_not_mix_in_the_forward_pass(backend: Backend) -> None:
    x = current(batch=3)
    whole = run(backend, x, PARAMETERS)
    for b in range(3):
        assert torch.equal(whole.spikes[:, b : b + 1], run(backend, x[:, b : b + 1], PARAMETERS).spikes)


def test_lif_takes_one_decay_per_neuron(backend: Backend) -> None:
    x = current(neurons=2)
    decays = torch.tensor([0.5, 0.875])
    both = run(backend, x, PARAMETERS._replace(membrane_decay=decays, synapse_decay=decays))
    for n, decay in enumerate(decays.tolist()):
        alone = run(backend, x[..., n : n + 1], PARAMETERS._replace(membrane_decay=decay, synapse_decay=decay))
        assert torch.equal(both.membrane[..., n : n + 1], alone.membrane)


def test_lif_errors_scale_with_the_maximum_of_each_step_over_batch_and_neurons() -> None:
    x = torch.full((2, 2, 1), 0.1)
    grad = torch.tensor([[[0.0], [0.0]], [[1.0], [1.0 / 300]]])  # the second is below half a step of 8 bits
    p = PARAMETERS._replace(membrane_bits=None, synapse_bits=None)
    state = LIFState(torch.zeros(2, 1), torch.full((2, 1), 0.9))
    activity = EAGER.lif_sequence(x, state, p)
    assert EAGER.lif_sequence_backward(grad, x, activity, state, p).abs().sum() == 0  # two steps: too few to arrive
    long = current(steps=30, batch=2, neurons=1)
    recorded = run(EAGER, long, PARAMETERS)
    ones = torch.ones_like(long)
    ones[:, 1] = 1e-6
    back = EAGER.lif_sequence_backward(ones, long, recorded, LIFState.zeros(long[0]), PARAMETERS)
    assert back[:, 0].abs().sum() > 0


def test_lif_errors_reach_a_neuron_far_below_the_threshold_only_without_the_mask(backend: Backend) -> None:
    """At a membrane of -0.25 the distance from the threshold, -1.15, does not fit the state's format."""
    initial = LIFState(torch.full((1, 2), -0.25), torch.tensor([[-0.05, -0.25]]))
    activity = LIFActivity(torch.zeros(3, 1, 2), *(state.expand(3, 1, 2).contiguous() for state in initial))
    errors = {}
    for mask in (True, False):
        arguments = torch.ones(3, 1, 2), torch.zeros(3, 1, 2), activity, initial
        errors[mask] = backend.lif_sequence_backward(*arguments, PARAMETERS._replace(threshold_mask=mask))
    assert (errors[True][0] != 0).tolist() == [[True, False]]
    assert (errors[False][0] != 0).tolist() == [[True, True]]
