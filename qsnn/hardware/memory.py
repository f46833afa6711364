"""Memory of a net to the bit, in inference and in training: per layer and term, beside the same net at 32 bits.

Bits, never a framework's bytes. Terms and formulas: `qsnn.hardware.backpropagated`, `qsnn.hardware.local` and
`qsnn.hardware.learning`; NUMERICS section 7. Training is everything of inference, at its batch size, and what it adds. Not
counted: constants and tables (decays, thresholds, surrogate, sigmoid), which a machine can hold in its logic; sums under way,
whose widths `accumulator_bits` of an integer run tells; the data set; counters of votes.

"At 32 bits" has every width at 32, and nothing that only quantization needs: no masks, no random state that rounds, no copy of
the weights beside the stored ones. Spikes are one bit there too.
"""

from typing import Any, NamedTuple

from qsnn.hardware.backpropagated import terms_of_net
from qsnn.hardware.learning import Learning
from qsnn.hardware.local import terms_of_local_net
from qsnn.hardware.terms import Term
from qsnn.models.local_net import LocalNet

KINDS = ("inference", "training", "weights")
"""What a memory has totals of: in inference and in training, and of weights (with biases) in inference."""


class Memory(NamedTuple):
    """``terms`` by layer; ``batch_size``: samples at once in training."""

    terms: dict[str, list[Term]]
    batch_size: int

    def total(self, kind: str, batch_size: int | None = None) -> tuple[int, int]:
        """Bits, and those at 32 bits, of ``kind``, one of `KINDS`; ``batch_size``: in training another than its own."""
        samples = (batch_size or self.batch_size) if kind == "training" else 1
        found = [term for layer in self.terms.values() for term in layer if kind == "training" or term.inference]
        if kind == "weights":
            found = [term for term in found if term.name.endswith(("weights", "biases"))]
        pairs = [term.at(samples) for term in found]
        return sum(bits for bits, _ in pairs), sum(full for _, full in pairs)

    def plain(self) -> dict[str, Any]:
        """For summary.json."""
        totals = {kind: dict(zip(("bits", "at_32_bits"), self.total(kind), strict=True)) for kind in KINDS}
        one = dict(zip(("bits", "at_32_bits"), self.total("training", 1), strict=True))
        layers = {
            name: {term.name: _plain(term, self.batch_size) for term in layer}
            for name, layer in self.terms.items()
            if layer
        }
        return {**totals, "training_of_one_sample": one, "batch_size": self.batch_size, "layers": layers}


def _plain(term: Term, batch_size: int) -> dict[str, Any]:
    """A term: what it takes in inference, if it is there, and in training, where samples of a batch add up."""
    formula = f"{term.formula}, times batch_size in training" if term.per_sample else term.formula
    kinds = {"inference": 1} if term.inference else {}
    found = {kind: term.at(samples) for kind, samples in {**kinds, "training": batch_size}.items()}
    bits = {kind: dict(zip(("bits", "at_32_bits"), pair, strict=True)) for kind, pair in found.items()}
    return {**bits, "formula": formula}


def memory_of(net: Any, inputs: int, learning: Learning | None = None) -> Memory:
    """The memory of a net with ``inputs`` values of a sample's input in a step; without ``learning`` of inference alone."""
    terms = terms_of_local_net(net, learning) if isinstance(net, LocalNet) else terms_of_net(net, inputs, learning)
    return Memory(terms, 1 if learning is None else learning.batch_size)


def memory_rows(memory: dict[str, Any]) -> list[tuple[str, str]]:
    """`Memory.plain` as rows of the table at the end of a run."""
    weights = memory["weights"]["bits"]
    rest = memory["inference"]["bits"] - weights
    samples, one = memory["batch_size"], memory["training_of_one_sample"]
    alone = f"; {one['bits']:,} with one sample at a time" if samples > 1 else ""
    at_once = f", {samples:,} samples at once" if samples > 1 else ""
    return [
        ("memory, inference", f"weights {weights:,} + all else {rest:,} = {_beside(memory['inference'])}"),
        ("memory, training", f"{_beside(memory['training'])}{at_once}{alone}"),
    ]


def _beside(total: dict[str, int]) -> str:
    share = total["bits"] / max(1, total["at_32_bits"])
    return f"{total['bits']:,} bits, {share:.1%} of the {total['at_32_bits']:,} at 32 bits"
