"""The bit widths of a net, in inference and in training: one set, each with one meaning, for every kind of net."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from qsnn.errors import ConfigError
from qsnn.options import Option, impossible, key, option
from qsnn.quantization.random_stream import RNG_RULES

MAX_BITS, MAX_RNG_BITS, MAX_SURROGATE_BITS = 16, 24, 24
FULL_PRECISION_BITS = 32
FOLLOWS_STATE = "${.state_bits}"
FLOAT, INTEGER = "float", "integer"
ALLOWED = f"allowed are 1..{MAX_BITS}, null for full precision, or a list of these, one a layer"


@option("quantization", "bits")
@dataclass
class BitWidths(Option):
    """Bit widths, 1..16 (rng_bits, surrogate_bits 1..24); null is full precision, a list has one entry a layer, input first."""

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
    rng_bits: int = key(
        16, "random numbers that round the gradients", "bits", "global_rb", at_least=1, at_most=MAX_RNG_BITS
    )
    rng_rule: str = key(
        "unbiased",
        "original: rounds up 2^-rng_bits too often; unbiased: with the probability of the rounded fraction",
        choices=tuple(RNG_RULES),
    )
    arithmetic: str = key(
        FLOAT,
        "integer: every quantity of a training step is a code times a power of two, which a machine without floats can repeat; "
        "what is not is refused by name. float: the papers' equations",
        choices=(FLOAT, INTEGER),
    )
    surrogate_bits: int = key(
        13,
        "fraction bits of the surrogate's table, which integer arithmetic multiplies errors by",
        "bits",
        at_least=1,
        at_most=MAX_SURROGATE_BITS,
    )
    synapse_trace_bits: Any = key(10, "synapse trace Q of local learning", "bits", "global_qb")
    membrane_trace_bits: Any = key(12, "membrane trace P of local learning", "bits", "global_pb")
    refractory_bits: Any = key(2, "refractory state R of local learning", "bits", "global_rfb")
    readout_weight_bits: Any = key(6, "fixed readout and feedback weights of local learning", "bits", "global_sb")
    readout_bits: Any = key(6, "readout activation r of local learning", "bits", "global_ab")
    sigmoid_bits: Any = key(6, "sigmoid output z that the readout of local learning sees", "bits", "global_sig")

    def __post_init__(self) -> None:
        """Without a config there is nobody else to fill in what follows state_bits."""
        self.membrane_bits, self.synapse_bits = (
            self.state_bits if bits == FOLLOWS_STATE else bits for bits in (self.membrane_bits, self.synapse_bits)
        )

    @property
    def integer(self) -> bool:
        """Whether every quantity of a step is to be a code times a power of two."""
        return self.arithmetic == INTEGER

    @property
    def initial_bits(self) -> int | None:
        """Width of the grid of initial weights: the states', or of integers the one on which gradients move weights, and
        their clamp holds them."""
        return max(self.gradient_bits, self.weight_bits) if self.integer else self.state_bits

    def by_layer(self, num_layers: int) -> list["BitWidths"]:
        """The widths of each layer, all single ones. Raises ConfigError for a list of another length."""
        wrong = tuple(self.problems_at(num_layers))
        if wrong:
            raise ConfigError(*wrong)
        lists = {name: value for name, value in vars(self).items() if isinstance(value, list)}
        return [replace(self, **{name: value[number] for name, value in lists.items()}) for number in range(num_layers)]

    def problems_at(self, num_layers: int) -> Iterator[str]:
        """Lists that do not have an entry for each of ``num_layers`` layers."""
        layers = f"{num_layers} layer" if num_layers == 1 else f"{num_layers} layers"
        for name, value in self._chosen():
            if isinstance(value, list) and len(value) != num_layers:
                allowed = f"the net has {layers}: give one width, or a list of {num_layers}"
                yield impossible(f"quantization.{name}", value, allowed)

    def problems(self) -> Iterator[str]:
        """Widths that no format has, and gradients of which only some are rounded."""
        yield from self._other_than(lambda bits: type(bits) is int and 1 <= bits <= MAX_BITS)
        gradients = self.gradient_bits
        if isinstance(gradients, list) and 0 < gradients.count(None) < len(gradients):
            allowed = "round the gradients of all layers or, with null, of none: the optimizer has one learning rate"
            yield impossible("quantization.gradient_bits", gradients, allowed)

    def wrong_types(self) -> Iterator[str]:
        """Widths that are no whole numbers."""
        return self._other_than(lambda bits: type(bits) is int)

    def _other_than(self, allowed: Callable[[Any], bool]) -> Iterator[str]:
        for name, value in self._chosen():
            if not all(bits is None or allowed(bits) for bits in (value if isinstance(value, list) else [value])):
                yield impossible(f"quantization.{name}", value, ALLOWED)

    def _chosen(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the widths that may be lists, without those that follow another."""
        for name, value in vars(self).items():
            follows = name in ("membrane_bits", "synapse_bits") and value == self.state_bits
            if name.endswith("_bits") and name not in ("rng_bits", "surrogate_bits") and not follows:
                yield name, value
