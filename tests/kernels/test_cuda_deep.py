"""device=cuda for nets by backpropagation: recurrence, convolutions and classes give the CPU's bits where all is on grids."""

import pytest
import torch
from torch import Tensor

from qsnn.dynamics import LIFParameters
from qsnn.dynamics.lif import LeakyParameters
from qsnn.kernels.eager import EAGER
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.models.building import Start, output_layer, recurrent_linear, spiking_convolution, spiking_linear
from qsnn.models.geometry import Geometry
from qsnn.models.spiking_net import SpikingNet
from qsnn.quantization.bit_widths import BitWidths

CUBA = LIFParameters(0.75, 0.875, 0.9, 0.0, 8, 8, 8, False)
LEAKY = LeakyParameters(0.875, 0.9, 0.0, 8, 8)
BITS = BitWidths(weight_bits=4)
START = Start(None, None, 3, EAGER)


def dense() -> SpikingNet:
    """60-40-10."""
    return SpikingNet({"hidden": spiking_linear(START, "hidden", 60, 40, BITS, CUBA), "output": output(40, CUBA)})


def output(inputs: int, neuron: LIFParameters | LeakyParameters) -> torch.nn.Module:
    """The last layer."""
    return output_layer(START, inputs, 10, BITS, neuron, None)


def recurrent() -> SpikingNet:
    """60-40(rec)-10."""
    return SpikingNet({"hidden": recurrent_linear(START, "hidden", 60, 40, BITS, LEAKY), "output": output(40, LEAKY)})


def convolutional() -> SpikingNet:
    """Two convolutions of 5 x 5, one pooled, one with a stride."""
    first, second = Geometry(8, 5, 2, 2), Geometry(16, 3, 1, 1, 2)
    layers = {
        "hidden1": spiking_convolution(START, "hidden1", (2, 20, 20), first, BITS, CUBA),
        "hidden2": spiking_convolution(START, "hidden2", (8, 10, 10), second, BITS, CUBA),
    }
    return SpikingNet({**layers, "output": output(16 * 5 * 5, CUBA)})


def spikes(*shape: int) -> Tensor:
    """A fifth of ones."""
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(1)) < 0.2).float()


@pytest.mark.parametrize(
    ("make", "shape"), [(dense, (60,)), (recurrent, (60,)), (convolutional, (2, 20, 20))], ids=["dense", "rec", "conv"]
)
def test_deep_net_gives_the_cpus_bits_on_a_gpu(
    make: "type[SpikingNet]", shape: tuple[int, ...], gpu: torch.device
) -> None:
    x, labels, loss = spikes(30, 16, *shape), torch.arange(16) % 10, SpikeCountLoss(0.3, 0.03, True)
    on_cpu = make().gradients(x, labels, loss)
    on_gpu = make().to(gpu).gradients(x.to(gpu), labels.to(gpu), loss)
    assert on_cpu.activity["output"].spikes.any()
    assert float(on_gpu.loss) == pytest.approx(float(on_cpu.loss), rel=1e-6)
    for name, layer in on_cpu.activity.items():
        assert torch.equal(on_gpu.activity[name].spikes.cpu(), layer.spikes), name
        assert torch.equal(on_gpu.activity[name].membrane.cpu(), layer.membrane), name
    for name, gradient in on_cpu.weights.items():
        assert gradient.abs().max() > 0
        assert torch.equal(on_gpu.weights[name].cpu(), gradient), name
