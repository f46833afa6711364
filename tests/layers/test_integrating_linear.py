"""A layer of integrators: what it tells, and its gradients."""

import pytest
import torch
from naive_nets import NaiveLayer, Neuron, naive_layer

from qsnn.dynamics import LIFState
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.kernels.backend import Backend
from qsnn.kernels.eager import EAGER
from qsnn.layers.integrating_linear import IntegratingLinear
from qsnn.layers.linear import QuantizedLinear
from qsnn.quantization import symmetric, to_codes


def layer(
    backend: Backend, parameters: IntegratorParameters, weight_bits: int | None, scale: float
) -> IntegratingLinear:
    weight = torch.rand(6, 4, generator=torch.Generator().manual_seed(0)) - 0.5
    return IntegratingLinear(QuantizedLinear(weight, scale, weight_bits, parameters.error_bits, backend), parameters)


def spikes() -> torch.Tensor:
    return (torch.rand(10, 3, 6, generator=torch.Generator().manual_seed(1)) < 0.3).float()


def test_readout_gradients_equal_autograd_in_full_precision() -> None:
    readout = layer(EAGER, IntegratorParameters(0.75, 0.9, None, None), None, 2.0).double()
    x, factors = spikes().double().requires_grad_(), torch.randn(10, 3, 4, dtype=torch.float64)
    (readout(x)[0].output * factors).sum().backward()
    weight = (readout.linear.weight.detach() / 2).clone().requires_grad_()
    other = x.detach().clone().requires_grad_()
    output, _ = naive_layer(NaiveLayer("readout", weight, Neuron(0.75, 0.9, 0.0, 0.0)), other)
    (output * factors).sum().backward()
    assert x.grad is not None
    assert other.grad is not None
    assert weight.grad is not None
    assert torch.allclose(x.grad, other.grad, rtol=1e-10)
    assert torch.allclose(readout.linear.gradient(), weight.grad, rtol=1e-10)  # straight through, without 1/scale


@pytest.mark.parametrize("bits", [None, 4, 8])
def test_readout_tells_states_on_their_grid_and_no_spikes(bits: int | None, backend: Backend) -> None:
    readout = layer(backend, IntegratorParameters(0.75, 0.875, bits, 8), 4, 1.0)
    activity, last = readout(spikes())
    assert activity.spikes.shape == (10, 3, 0)
    assert torch.equal(activity.output[1:], activity.membrane[:-1])
    assert not activity.output[0].any()
    assert torch.equal(last.membrane, activity.membrane[-1])
    assert readout.state_widths() == (bits, bits)
    raw = readout.raw_states(activity)
    assert torch.equal(raw.synapse[1:], 0.75 * activity.synapse[:-1] + activity.current[1:])
    if bits is None:
        assert torch.equal(raw.membrane, activity.membrane)
    else:
        to_codes(activity.membrane.detach(), symmetric(bits))  # raises if one is off the grid
        to_codes(activity.synapse.detach(), symmetric(bits))


def test_readout_goes_on_from_the_state_it_ended_in(backend: Backend) -> None:
    readout, x = layer(backend, IntegratorParameters(0.75, 0.875, 8, 8), 4, 1.0), spikes()
    whole, _ = readout(x)
    _, middle = readout(x[:4])
    rest, _ = readout(x[4:], LIFState(*(part.detach() for part in middle)))
    assert torch.equal(whole.output[4:], rest.output)
