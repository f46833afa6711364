"""A recurrent layer: its own spikes come back one step later, and so do errors."""

from typing import Any

import pytest
import torch
from naive_nets import NaiveLayer, Neuron, naive_layer
from torch import Tensor

from qsnn.dynamics import LIFParameters, NeuronParameters
from qsnn.dynamics.lif import LeakyParameters
from qsnn.kernels.backend import Backend
from qsnn.kernels.dispatch import select_backend
from qsnn.kernels.eager import EAGER
from qsnn.layers import SpikingLinear
from qsnn.layers.linear import QuantizedLinear
from qsnn.layers.recurrent import RecurrentLinear
from qsnn.quantization import quantize_error

INPUTS, SIZE = 5, 6


def cuba(bits: int | None) -> LIFParameters:
    return LIFParameters(0.75, 0.875, 0.4, 5.0, bits, bits, bits, False)


def leaky(bits: int | None) -> LeakyParameters:
    return LeakyParameters(0.875, 0.4, 5.0, bits, bits)


def made(
    neuron: NeuronParameters, bits: int | None, backend: Backend, recurrent: Tensor | None = None
) -> RecurrentLinear:
    generator = torch.Generator().manual_seed(0)
    w, w_r = (torch.rand(rows, SIZE, generator=generator) * 1.6 - 0.8 for rows in (INPUTS, SIZE))
    linear = QuantizedLinear(w, 1.0, bits, bits, backend)
    return RecurrentLinear(
        linear, QuantizedLinear(w_r if recurrent is None else recurrent, 2.0, bits, bits, backend), neuron
    )


def spikes(steps: int = 12) -> Tensor:
    return (torch.rand(steps, 4, INPUTS, generator=torch.Generator().manual_seed(1)) < 0.4).float()


@pytest.mark.parametrize("neuron", [cuba(None), leaky(None)])
def test_recurrent_gradients_equal_autograd_in_full_precision(neuron: NeuronParameters) -> None:
    layer, x = made(neuron, None, EAGER).double(), spikes().double().requires_grad_()
    factors = torch.randn(12, 4, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (layer(x)[0].output * factors).sum().backward()
    weight = layer.linear.weight.detach().clone().requires_grad_()
    recurrent = (layer.recurrent.weight.detach() / 2).clone().requires_grad_()
    other = x.detach().clone().requires_grad_()
    cell = Neuron(getattr(neuron, "synapse_decay", None), 0.875, 0.4, 5.0)
    output, _ = naive_layer(NaiveLayer("recurrent", weight, cell, recurrent), other)
    assert output.any()
    (output * factors).sum().backward()
    for ours, theirs in ((x, other), (layer.linear.weight, weight), (layer.recurrent.weight, recurrent)):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert theirs.grad.any()
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("neuron", [cuba, leaky])
def test_recurrent_layer_without_recurrent_weights_is_a_spiking_linear_one(
    neuron: type, bits: int | None, backend: Backend
) -> None:
    layer = made(neuron(bits), bits, backend, torch.zeros(SIZE, SIZE))
    plain = SpikingLinear(layer.linear.weight.detach().clone(), 1.0, bits, neuron(bits), backend)
    x, factors = spikes(), torch.randint(-3, 4, (12, 4, SIZE), generator=torch.Generator().manual_seed(3))
    for one in (layer, plain):
        (one(x)[0].output * factors).sum().backward()
    assert torch.equal(layer(x)[0].spikes, plain(x)[0].spikes)
    assert plain.linear.gradient().any()
    assert torch.equal(layer.linear.gradient(), plain.linear.gradient())


def test_recurrent_spikes_reach_the_current_one_step_later(backend: Backend) -> None:
    layer = made(cuba(8), 8, backend)
    activity, _ = layer(spikes())
    assert torch.equal(activity.current[0], activity.drive[0])
    back = activity.spikes[:-1] @ layer.recurrent.quantized_weight()
    assert torch.equal((activity.current - activity.drive)[1:], back)
    assert activity.spikes.any()


@pytest.mark.parametrize("bits", [None, 8])
def test_recurrent_layer_of_one_step_learns_nothing_of_its_recurrent_weights(
    bits: int | None, backend: Backend
) -> None:
    layer = made(leaky(bits), bits, backend)
    layer(spikes(1))[0].output.sum().backward()
    assert torch.equal(layer.recurrent.gradient(), torch.zeros(SIZE, SIZE))


def test_recurrent_layer_does_not_change_its_input_or_its_drive(backend: Backend) -> None:
    layer, x = made(cuba(8), 8, backend), spikes()
    before = x.clone()
    activity, _ = layer(x)
    assert torch.equal(x, before)
    assert torch.equal(activity.drive, layer.linear(x))


class Faint(LeakyParameters):
    """Neurons of which only small errors are in range, such as those of membranes that most steps clamp."""

    def sequence_backward(self, *arguments: Any, **others: Any) -> Tensor:
        """A quarter of them, on the grid still."""
        return (super().sequence_backward(*arguments, **others) * 32).round() / 128


def test_recurrent_weights_learn_by_the_error_of_the_whole_sequence_scaled_anew(backend: Backend) -> None:
    layer = made(Faint(0.875, 0.4, 5.0, 8, 8), 8, backend)
    activity, _ = layer(spikes())
    activity.drive.retain_grad()
    (activity.output * torch.arange(SIZE)).sum().backward()
    assert activity.drive.grad is not None
    assert 0 < activity.drive.grad.abs().max() < 0.5
    error = quantize_error(activity.drive.grad, 8)
    expected = torch.einsum("tbi,tbj->ij", activity.spikes[:-1], error[1:])
    assert expected.any()
    assert torch.equal(layer.recurrent.gradient(), expected)
    assert torch.equal(layer.linear.gradient(), torch.einsum("tbi,tbj->ij", spikes(), error))


@pytest.mark.parametrize("neuron", [cuba(8), leaky(8), cuba(None)])
def test_recurrent_backends_give_the_same_spikes_and_gradients_of_grids(neuron: NeuronParameters) -> None:
    bits, found = neuron.error_bits, []
    for name in ("eager", "numba"):
        layer = made(neuron, 8, select_backend(name, "cpu"))
        layer.linear.error_bits = layer.recurrent.error_bits = bits
        activity, _ = layer(spikes())
        (activity.output * torch.arange(SIZE)).sum().backward()
        found.append([activity.spikes, layer.linear.gradient(), layer.recurrent.gradient()])
    for one, other in zip(*found, strict=True):
        assert one.any()
        assert torch.equal(one, other) if bits else torch.allclose(one, other, rtol=1e-5)
