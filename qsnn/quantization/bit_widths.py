"""The bit widths of a net, in inference and in training: one set, each with one meaning, for every kind of net."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from qsnn.errors import ConfigError
from qsnn.options import Option, impossible, key, option
from qsnn.quantization.random_stream import RNG_RULES

MAX_BITS, MAX_RNG_BITS = 16, 24
FULL_PRECISION_BITS = 32
FOLLOWS_STATE = "${.state_bits}"


@option("quantization", "bits")
@dataclass
class BitWidths(Option):
    """Bit widths, 1..16 (rng_bits 1..24); null is full precision, a list has one entry a layer, input first."""

    weight_bits: Any = key(2, "weights (and biases) in the forward and backward products", "bits", "global_wb")
    state_bits: Any = key(8, "both states of a LIF neuron; grid of its initial weights", "bits", "global_ab")
    membrane_bits: Any = key(
        FOLLOWS_STATE, "membrane potential; follows state_bits unless set", "bits", "global_ab; global_ub"
    )
    synapse_bits: Any = key(FOLLOWS_STATE, "synaptic current; follows state_bits unless set", "bits", "global_ab")
    integrator_bits: Any = key(
        None, "membrane and synapse of a membrane readout (loss.logits=membrane)", "bits", "none"
    )
    error_bits: Any = key(8, "errors in the backward pass", "bits", "global_eb")
    gradient_bits: Any = key(
        8,
        "weight gradients: their step is 2^-(gradient_bits-1), which moves weights with sgd only, see optimizer.eta; in local "
        "learning also the range of the stored weights",
        "bits",
        "global_gb",
    )
    rng_bits: Any = key(16, "random numbers that round the gradients, 1..24", "bits", "global_rb")
    rng_rule: str = key(
        "unbiased",
        "original: rounds up 2^-rng_bits too often; unbiased: with the probability of the rounded fraction",
        choices=tuple(RNG_RULES),
    )
    synapse_trace_bits: Any = key(10, "synapse trace Q of local learning", "bits", "global_qb")
    membrane_trace_bits: Any = key(12, "membrane trace P of local learning", "bits", "global_pb")
    refractory_bits: Any = key(2, "refractory state R of local learning", "bits", "global_rfb")
    readout_weight_bits: Any = key(6, "fixed readout and feedback weights of local learning", "bits", "global_sb")
    readout_bits: Any = key(6, "readout activation r of local learning", "bits", "global_ab")
    sigmoid_bits: Any = key(6, "sigmoid output z that the readout of local learning sees", "bits", "global_sig")

    def by_layer(self, num_layers: int) -> list["BitWidths"]:
        """The widths of each layer, all single ones. Raises ConfigError for a list of another length."""
        for problem in self.problems_of(num_layers):
            raise ConfigError(problem)
        lists = self._lists()
        return [replace(self, **{name: value[number] for name, value in lists.items()}) for number in range(num_layers)]

    def problems_of(self, num_layers: int) -> Iterator[str]:
        """What does not fit a net of so many layers."""
        for name, value in self._lists().items():
            if len(value) != num_layers:
                allowed = f"the net has {num_layers} layers: give one width, or {num_layers} of them"
                yield impossible(f"quantization.{name}", value, allowed)
        if isinstance(self.gradient_bits, list) and len({bits is None for bits in self.gradient_bits}) == 2:
            allowed = "null in all layers or in none: the optimizer's learning rate is another one without rounding"
            yield impossible("quantization.gradient_bits", self.gradient_bits, allowed)

    def _lists(self) -> dict[str, list[Any]]:
        return {name: value for name, value in vars(self).items() if isinstance(value, list)}

    def full_precision_gradients(self) -> bool:
        """Whether gradients are not rounded."""
        bits = self.gradient_bits
        return all(width is None for width in bits) if isinstance(bits, list) else bits is None

    def problems(self) -> Iterator[str]:
        """Widths that no format has."""
        for entry in fields(self):
            if entry.name.endswith("_bits"):
                value, random = getattr(self, entry.name), entry.name == "rng_bits"
                highest, null = (MAX_RNG_BITS, "") if random else (MAX_BITS, ", null for full precision")
                widths = value if isinstance(value, list) else [value]
                if not all((b is None and not random) or (type(b) is int and 1 <= b <= highest) for b in widths):
                    allowed = f"allowed are 1..{highest}{null}, or a list of these, one a layer"
                    yield impossible(f"quantization.{entry.name}", value, allowed)
