"""What a run costs: memory, energy and time, as far as its summary.json tells, or `qsnn.cost` has told in its folder."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from qsnn.comparing.metrics import figure


class Cost(NamedTuple):
    """A column: its name, its unit, and where in summary.json it is: the first place that is there, times a factor."""

    name: str
    unit: str
    places: tuple[tuple[str, float], ...]

    def of(self, summary: Mapping[str, Any]) -> float | None:
        """That of a run; None if it does not say, or says what no run writes. Several numbers in one place are summed."""
        told = [(names, factor) for names, factor in self.places if summary.get(names.partition(".")[0]) is not None]
        for names, factor in told[:1]:
            values = [figure(summary, name) for name in names.split("+")]
            known = [value for value in values if value is not None and value >= 0]
            return factor * sum(known) if len(known) == len(values) else None
        return None

    def is_damaged(self, summary: Mapping[str, Any]) -> bool:
        """Whether a run has the part of its summary that tells it, but no number from 0 in there."""
        there = any(summary.get(names.partition(".")[0]) is not None for names, _ in self.places)
        return there and self.of(summary) is None

    def tell(self, value: float | None) -> str:
        """For people."""
        if value is None:
            return ""
        return f"{value:,.0f}" if value >= 100 or self.unit == "bits" else f"{value:.3g}"


WEIGHTS = Cost("weight memory", "bits", (("memory_bits.weights.bits", 1), ("memory_bytes.parameters", 8)))
INFERENCE = Cost(
    "inference memory", "bits",
    (("memory_bits.inference.bits", 1), ("memory_bytes.parameters+memory_bytes.state", 8)),
)  # fmt: skip
TRAINING = Cost("training memory", "bits", (("memory_bits.training.bits", 1),))
ENERGY = Cost("energy", "pJ", (("energy.inference.picojoule", 1),))
SECONDS = Cost("seconds", "s", (("seconds", 1),))
COSTS = (WEIGHTS, INFERENCE, TRAINING, ENERGY, SECONDS)
