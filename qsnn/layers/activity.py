"""What a layer tells of a sequence, and what it is asked for, whatever it is made of."""

from typing import NamedTuple, Protocol

from torch import Tensor

from qsnn.dynamics import LIFActivity, LIFState, NeuronParameters
from qsnn.dynamics.neuron import states_before
from qsnn.layers.stored_weight import StoredWeights


class SpikingActivity(NamedTuple):
    """What a layer did in a sequence, (T, B, N) each.

    ``current``: at the neurons; ``spikes``: none, (T, B, 0), of a layer that does not spike; the states after each step;
    ``output``: what the next layer, or the loss, sees: the spikes, unless they are pooled, or the layer is a readout;
    ``drive``: what arrived from the layer before, which is the whole current unless the layer is recurrent.
    """

    current: Tensor
    spikes: Tensor
    synapse: Tensor
    membrane: Tensor
    output: Tensor
    drive: Tensor


def raw_lif_states(activity: SpikingActivity, neuron: NeuronParameters) -> LIFState:
    """`Layer.raw_states` of spiking neurons."""
    recorded = LIFActivity(activity.spikes, activity.synapse, activity.membrane)
    before = states_before(recorded, LIFState.zeros(activity.current[0]))
    return neuron.raw_states(before, activity.current, activity.spikes)


class Layer(Protocol):
    """A layer of a net that learns by backpropagation through time."""

    def __call__(self, x: Tensor, state: LIFState | None = None) -> tuple[SpikingActivity, LIFState]:
        """Input (T, B, ...) and state (B, N) (None: at rest) to activity and last state."""

    def weights(self) -> dict[str, StoredWeights]:
        """By the part that they are: ``weight``, and ``recurrent_weight`` where there is one."""

    def state_widths(self) -> tuple[int | None, int | None]:
        """Bits of synapse and membrane; 0 for a state that the neuron does not have."""

    @property
    def state_range(self) -> float:
        """Full scale of both."""

    def raw_states(self, activity: SpikingActivity) -> LIFState:
        """The states after each step of a sequence from rest, before they were quantized."""

    @property
    def num_neurons(self) -> int:
        """N."""

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Of one sample and step: (N,), or (C, H, W)."""
