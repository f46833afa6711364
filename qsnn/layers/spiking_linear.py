"""A fully connected layer of spiking neurons: quantized weights into current-based LIF neurons."""

from typing import NamedTuple

from torch import Tensor, nn

from qsnn.dynamics import LIFState, NeuronParameters
from qsnn.kernels.backend import Backend, LayerSettings
from qsnn.layers.lif import LIF
from qsnn.layers.linear import QuantizedLinear


class SpikingActivity(NamedTuple):
    """What a layer did in a sequence, (T, B, N) each: input current, spikes, and the states after each step."""

    current: Tensor
    spikes: Tensor
    synapse: Tensor
    membrane: Tensor


class SpikingLinear(nn.Module):
    """`QuantizedLinear` followed by `LIF`: input spikes (T, B, I) to `SpikingActivity` and the last state."""

    def __init__(
        self, weight: Tensor, scale: float, weight_bits: int | None, lif: NeuronParameters, backend: Backend
    ) -> None:
        super().__init__()
        self.linear = QuantizedLinear(weight, scale, weight_bits, lif.error_bits, backend)
        self.lif = LIF(lif, backend)

    def forward(self, x: Tensor, state: LIFState | None = None) -> tuple[SpikingActivity, LIFState]:
        """Input spikes (T, B, I) and state (None: at rest) to activity (T, B, N) and last state (B, N)."""
        current = self.linear(x)
        activity, state = self.lif(current, state)
        return SpikingActivity(current, *activity), state

    def settings(self) -> LayerSettings:
        """The layer as `Backend.net_gradients` wants it."""
        linear = self.linear
        return LayerSettings(linear.weight, linear.weight_bits, linear.attenuation, self.lif.dynamics)
