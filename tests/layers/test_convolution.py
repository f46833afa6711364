"""A convolutional layer: pooling by OR with one winner, exact weight gradients, strides that leave pixels out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.nn import functional

from qsnn.dynamics import LIFParameters
from qsnn.dynamics.cuba_lif import CubaLIF
from qsnn.kernels.backend import Backend
from qsnn.kernels.convolution import pooled, summed_products
from qsnn.kernels.eager import EAGER
from qsnn.layers.convolution import QuantizedConvolution, SpikingConvolution
from qsnn.models.conv import Conv
from qsnn.models.geometry import Geometry
from qsnn.quantization import quantize_error, symmetric, to_codes, weight_init
from qsnn.quantization.bit_widths import BitWidths

MEMBRANES = arrays(np.float32, (2, 3, 5, 7), elements=st.integers(-4, 4).map(lambda code: code / 4))


def threshold(membrane: np.ndarray) -> tuple[Tensor, Tensor]:
    """Membranes and the spikes of those above 0.3."""
    potentials = torch.from_numpy(membrane)
    return potentials, (potentials > 0.3).float()


@settings(max_examples=40, deadline=None)
@given(membrane=MEMBRANES, window=st.integers(1, 4))
def test_pooled_spike_is_the_or_of_its_window(membrane: np.ndarray, window: int) -> None:
    potentials, spikes = threshold(membrane)
    found = pooled(spikes, potentials, window)
    for y, x in np.ndindex(5 // window, 7 // window):
        part = spikes[:, :, y * window : (y + 1) * window, x * window : (x + 1) * window]
        assert torch.equal(found[:, :, y, x], part.flatten(2).amax(2))


@settings(max_examples=40, deadline=None)
@given(membrane=MEMBRANES, window=st.integers(2, 4))
def test_pooled_error_goes_to_the_first_of_the_largest_membranes_alone(membrane: np.ndarray, window: int) -> None:
    potentials, spikes = threshold(membrane)
    spikes.requires_grad_()
    factors = 1 + torch.arange(2 * 3 * (5 // window) * (7 // window)).view(2, 3, 5 // window, -1)
    (pooled(spikes, potentials, window) * factors).sum().backward()
    assert spikes.grad is not None
    expected = torch.zeros(2, 3, 5, 7)
    for s, o, y, x in np.ndindex(*factors.shape):
        part = membrane[s, o, y * window : (y + 1) * window, x * window : (x + 1) * window]
        dy, dx = np.unravel_index(part.argmax(), part.shape)
        expected[s, o, y * window + dy, x * window + dx] = factors[s, o, y, x]
    assert torch.equal(spikes.grad, expected)


def layer(
    backend: Backend, inputs: tuple[int, int, int], geometry: Geometry, bits: int | None = 8
) -> SpikingConvolution:
    side = geometry.kernel_size
    shape = (geometry.channels, inputs[0], side, side)
    weight = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.7
    convolution = QuantizedConvolution(weight, 2.0, geometry.stride, geometry.padding, bits, bits, backend)
    neuron = LIFParameters(0.75, 0.875, 0.4, 5.0, bits, bits, bits, False)
    return SpikingConvolution(convolution, geometry.neurons(inputs), geometry.pooling, neuron, backend)


def spikes(*shape: int, rate: float = 0.3) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(1)) < rate).float()


@settings(max_examples=40, deadline=None)
@given(
    side=st.integers(1, 4), stride=st.integers(1, 3), padding=st.integers(0, 2), pooling=st.integers(1, 2),
    height=st.integers(6, 9), width=st.integers(6, 9),
)  # fmt: skip
def test_convolution_has_the_shapes_of_its_geometry(
    side: int, stride: int, padding: int, pooling: int, height: int, width: int
) -> None:
    geometry, inputs = Geometry(3, side, padding, pooling, stride), (2, height, width)
    if min(geometry.output_shape(inputs)) < 1:
        return
    net = layer(EAGER, inputs, geometry)
    x = spikes(4, 2, *inputs).requires_grad_()
    activity, last = net(x)
    assert activity.output.shape == (4, 2, *net.output_shape) == (4, 2, *geometry.output_shape(inputs))
    assert activity.spikes.shape == (4, 2, net.num_neurons)
    assert last.membrane.shape == (2, net.num_neurons)
    activity.output.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape
    assert net.convolution.gradient().shape == net.convolution.weight.shape


def test_convolution_of_one_neuron_a_pixel_is_its_current_through_time(backend: Backend) -> None:
    net, x = layer(backend, (2, 6, 6), Geometry(3, 3, 1, 1)), spikes(5, 2, 2, 6, 6)
    activity, _ = net(x)
    weight = net.convolution.quantized_weight()
    assert torch.equal(activity.current.view(5, 2, 3, 6, 6)[3], functional.conv2d(x[3], weight, padding=1))
    assert activity.spikes.any()


@pytest.mark.filterwarnings("ignore:TF32")
@pytest.mark.parametrize("side", [3, 5])
def test_currents_are_exact_whatever_torch_convolves_with(side: int) -> None:
    """Without oneDNN torch takes NNPACK, whose transforms round; builds for some machines have no other."""
    net = layer(EAGER, (8, 18, 18), Geometry(6, side, 1, 1))
    x, weight = spikes(20, 2, 8, 18, 18), net.convolution.quantized_weight()
    expected = functional.conv2d(x.flatten(0, 1).double(), weight.double(), padding=1).view(20, 2, -1)
    for enabled in (True, False):
        with torch.backends.mkldnn.flags(enabled=enabled):
            assert torch.equal(net(x)[0].current.double(), expected)


@pytest.mark.parametrize("name", ["hidden1", "hidden2"])
def test_initial_weights_follow_from_channels_times_pixels_of_the_kernel(name: str) -> None:
    widths = BitWidths(weight_bits=2, state_bits=8, membrane_bits=8, synapse_bits=8)
    model = Conv(channels=[5, 4], kernel_size=[3, 2], padding=[0], pooling=[1], stride=[1], init_beta=None)
    net = model.build_spiking((2, 9, 9), 3, CubaLIF(), widths, None, 0, EAGER)
    weights = net.layers[name].weights()["weight"]
    init = weight_init(weights.weight[0].numel(), 2, None, True)
    assert weights.weight.shape == {"hidden1": (5, 2, 3, 3), "hidden2": (4, 5, 2, 2)}[name]
    assert weights.attenuation == init.scale > 1
    to_codes(weights.weight.detach(), symmetric(8))  # raises if one is off the grid
    assert 0.8 * init.limit < weights.weight.abs().max() <= init.limit


def test_convolution_goes_on_from_the_state_it_ended_in(backend: Backend) -> None:
    """Pooling as well: its winners are those of the membranes that the sequence begins with."""
    net, x = layer(backend, (2, 6, 6), Geometry(3, 3, 1, 2)), spikes(8, 2, 2, 6, 6, rate=0.5)
    whole, _ = net(x)
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            _, middle = net(x[:5])
            rest, _ = net(x[5:], middle)
        assert torch.equal(whole.output[5:], rest.output)
        assert rest.output[0].any()


def test_convolution_errors_are_scaled_by_their_largest_and_go_back_through_quantized_weights(backend: Backend) -> None:
    convolution = layer(backend, (2, 6, 6), Geometry(3, 3, 1, 1), 4).convolution
    x = spikes(5, 2, 6, 6).requires_grad_()
    grad = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(3)) / 50
    convolution(x).backward(grad)
    error = quantize_error(grad, 4)
    assert x.grad is not None
    assert torch.equal(x.grad, functional.conv_transpose2d(error, convolution.quantized_weight(), padding=1))
    assert torch.equal(convolution.gradient(), exact_sums(x.detach(), error, 3, 1, 1).float())


def exact_sums(x: Tensor, error: Tensor, side: int, stride: int, padding: int) -> Tensor:
    """In float64, which is exact for these."""
    patches = functional.unfold(x.double(), side, padding=padding, stride=stride)
    sums = torch.einsum("spl,sol->op", patches, error.double().flatten(2))
    return sums.view(error.shape[1], x.shape[1], side, side)


@pytest.mark.parametrize(
    ("error_bits", "samples", "size"), [(8, 700, 20), (8, 3, 400), (12, 300, 24), (16, 4, 40), (16, 40, 23), (2, 50, 9)]
)
def test_weight_gradient_is_the_exact_sum_where_floats_would_lose_some(
    error_bits: int, samples: int, size: int
) -> None:
    generator = torch.Generator().manual_seed(2)
    high = 2 ** (error_bits - 1) - 1
    x = (torch.rand(samples, 1, size, size, generator=generator) < 0.9).float()
    error = torch.randint(high - high // 8, high + 1, (samples, 2, size, size), generator=generator).float() / (
        high + 1
    )
    found = summed_products(x, error, (2, 1, 3, 3), error_bits, stride=1, padding=1)
    assert torch.equal(found, exact_sums(x, error, 3, 1, 1).float())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6), error_bits=st.integers(1, 16), side=st.integers(1, 3), stride=st.integers(1, 3),
    padding=st.integers(0, 2),
)  # fmt: skip
def test_weight_gradient_of_codes_is_exact_for_any_place(
    seed: int, error_bits: int, side: int, stride: int, padding: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-1, 2, (5, 2, 7, 6), generator=generator).float()
    height, width = ((n + 2 * padding - side) // stride + 1 for n in (7, 6))
    high = 2 ** (error_bits - 1) - (error_bits > 1)
    error = torch.randint(-high, high + 1, (5, 3, height, width), generator=generator) / 2 ** (error_bits - 1)
    found = summed_products(x, error, (3, 2, side, side), error_bits, stride, padding)
    assert torch.equal(found, exact_sums(x, error, side, stride, padding).float())
