"""The integrate-and-fire neuron: `qsnn.dynamics.lif` without its leak, so that a membrane keeps what it has received."""

from dataclasses import dataclass
from typing import ClassVar

from qsnn.dynamics.lif import LeakyParameters
from qsnn.dynamics.neuron import INTEGER_STEP, SPIKES
from qsnn.dynamics.time_constants import LONGEST_STEP, SHORTEST_STEP
from qsnn.options import MAX_FACTOR, Option, key, option


@option("neuron", "if")
@dataclass
class IF(Option):
    """Integrate-and-fire neuron: neither leak nor synaptic filter."""

    gives: ClassVar[frozenset[str]] = frozenset({SPIKES, INTEGER_STEP})
    lacks: ClassVar[tuple[str, ...]] = ("synapse_bits",)

    dt: float = key(0.001, "length of a time step", "s", "time_step", at_least=SHORTEST_STEP, at_most=LONGEST_STEP)
    threshold: float = key(0.9, "a neuron spikes when its membrane exceeds it", above=0)
    surrogate_slope: float = key(1.0, "slope of the SuperSpike surrogate gradient", at_least=0, at_most=MAX_FACTOR)
    threshold_mask: bool = key(
        False, "stop errors at membranes too far below the threshold for the state's format; false: none dies"
    )

    def build(self, synapse_bits: int | None, membrane_bits: int | None, error_bits: int | None) -> LeakyParameters:
        """The parameters of a layer of these neurons: `LeakyParameters` that keep the whole membrane."""
        return LeakyParameters(
            1.0, self.threshold, self.surrogate_slope, membrane_bits, error_bits, self.threshold_mask
        )
