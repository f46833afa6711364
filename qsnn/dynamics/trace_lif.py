"""The neurons of local learning as an option: time constants of `traces` and of `refractory_lif`. Source: [ICONS]."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from qsnn.dynamics.time_constants import LONGEST_STEP, MAX_STEPS_OF_TAU, SHORTEST_STEP
from qsnn.options import MAX_FACTOR, Option, impossible, key, option

TIMES = ("tau_mem_lower", "tau_mem_upper", "tau_syn_lower", "tau_syn_upper", "tau_ref")
TRACES = "a neuron with traces of its input"


@option("neuron", "trace_lif")
@dataclass
class TraceLIF(Option):
    """Traces and a refractory state; each input neuron draws its time constants from ranges. Decays by euler, 1 - dt/tau."""

    gives: ClassVar[frozenset[str]] = frozenset({TRACES})

    dt: float = key(0.001, "length of a time step", "s", "delta_t", at_least=SHORTEST_STEP, at_most=LONGEST_STEP)
    tau_mem_lower: float = key(0.005, "shortest membrane time constant", "s", "tau_mem_lower", above=0)
    tau_mem_upper: float = key(0.035, "longest membrane time constant", "s", "tau_mem_upper", above=0)
    tau_syn_lower: float = key(0.005, "shortest synapse time constant", "s", "tau_syn_lower", above=0)
    tau_syn_upper: float = key(0.01, "longest synapse time constant", "s", "tau_syn_upper", above=0)
    tau_ref: float = key(0.002857142857142857, "refractory time constant", "s", "tau_ref", above=0)
    trace_cap: float = key(
        1.0,
        "share of the largest possible traces that their formats reach",
        "",
        "PQ_cap",
        at_least=1 / MAX_FACTOR,
        at_most=1,
    )
    decay_bits: int | None = key(
        None,
        "fractional bits of decays and gains; null: not rounded; integer arithmetic needs it",
        "bits",
        "none",
        at_least=1,
        at_most=24,
    )

    def float_quantities(self, config: Any) -> Iterator[str]:
        """Decays that are not rounded."""
        if self.decay_bits is None:
            allowed = "quantization.arithmetic=integer multiplies by decay * 2^decay_bits and shifts: set neuron.decay_bits=16"
            yield impossible("neuron.decay_bits", None, allowed)

    def problems(self) -> Iterator[str]:
        """Time constants that are not longer than a step, and ranges without a content."""
        right = {name for name in TIMES if self.in_bounds("dt", name)}
        for name in ("tau_mem_lower", "tau_syn_lower", "tau_ref"):
            if name in right and not getattr(self, name) > self.dt:
                yield impossible(f"neuron.{name}", getattr(self, name), f"it must be above neuron.dt, {self.dt:g}")
        longest = self.dt * MAX_STEPS_OF_TAU
        for name in ("tau_mem_upper", "tau_syn_upper", "tau_ref"):
            if name in right and getattr(self, name) > longest:
                yield impossible(f"neuron.{name}", getattr(self, name), f"it must be at most {longest:g}")
        for name in ("mem", "syn"):
            lower, upper = getattr(self, f"tau_{name}_lower"), getattr(self, f"tau_{name}_upper")
            if {f"tau_{name}_lower", f"tau_{name}_upper"} <= right and upper < lower:
                yield impossible(
                    f"neuron.tau_{name}_upper", upper, f"it must be at least neuron.tau_{name}_lower, {lower:g}"
                )
