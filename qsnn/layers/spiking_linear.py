"""A fully connected layer of spiking neurons: quantized weights into current-based LIF neurons."""

from torch import Tensor, nn

from qsnn.dynamics import LIFState, NeuronParameters
from qsnn.dynamics.surrogate import range_of
from qsnn.kernels.backend import Backend, LayerSettings
from qsnn.layers.activity import SpikingActivity, raw_lif_states
from qsnn.layers.lif import LIF
from qsnn.layers.linear import QuantizedLinear
from qsnn.layers.stored_weight import StoredWeights


class SpikingLinear(nn.Module):
    """`QuantizedLinear` followed by `LIF`: input spikes (T, B, I) to `SpikingActivity` and the last state."""

    def __init__(
        self, weight: Tensor, scale: float, weight_bits: int | None, neuron: NeuronParameters, backend: Backend
    ) -> None:
        super().__init__()
        self.linear = QuantizedLinear(weight, scale, weight_bits, neuron.error_bits, backend)
        self.lif = LIF(neuron, backend)

    def forward(self, x: Tensor, state: LIFState | None = None) -> tuple[SpikingActivity, LIFState]:
        """Input spikes (T, B, I), or maps of I pixels, and state (None: at rest) to activity (T, B, N) and last state (B,
        N)."""
        current = self.linear(x.flatten(2))
        activity, state = self.lif(current, state)
        spikes, synapse, membrane = activity
        return SpikingActivity(current, spikes, synapse, membrane, spikes, current), state

    def weights(self) -> dict[str, StoredWeights]:
        """``weight``."""
        return {"weight": self.linear}

    def state_widths(self) -> tuple[int | None, int | None]:
        """Bits of synapse and membrane."""
        return self.lif.dynamics.synapse_bits, self.lif.dynamics.membrane_bits

    @property
    def state_range(self) -> float:
        """`range_of` its neurons."""
        return range_of(self.lif.dynamics)

    def raw_states(self, activity: SpikingActivity) -> LIFState:
        """`raw_lif_states`."""
        return raw_lif_states(activity, self.lif.dynamics)

    @property
    def num_neurons(self) -> int:
        """N."""
        return self.linear.weight.shape[1]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(N,)."""
        return (self.num_neurons,)

    def settings(self) -> LayerSettings:
        """The layer as `Backend.net_gradients` wants it."""
        return LayerSettings(*self.linear.settings(), self.lif.dynamics)
