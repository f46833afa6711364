"""Energy of a net in inference and in a training step: counts of operations and accesses times a table. docs/cost.md.

What there is of a kind (weights with all that is kept for each of them, states, history) lies in the smallest memory of the
table that has room for all of it; in training for a whole batch.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from qsnn.hardware.counts.count import ADD, HISTORY, MULTIPLY, STATES, WEIGHTS, Count
from qsnn.hardware.counts.net import NetCounts
from qsnn.hardware.memory import Memory
from qsnn.hardware.table import Hardware
from qsnn.hardware.terms import Term

KINDS = (WEIGHTS, STATES, HISTORY)
SYNAPTIC = ("synaptic accumulates", "recurrent synaptic accumulates", "synaptic products")
"""Counts of which each is a synaptic operation."""


class Part(NamedTuple):
    """Of a layer or a net, in picojoule."""

    compute: float
    memory: float

    @property
    def total(self) -> float:
        """Both."""
        return self.compute + self.memory


class Energy(NamedTuple):
    """``layers`` by name; ``places``: in which memory of the table each kind of values lies."""

    layers: dict[str, Part]
    places: dict[str, str]

    @property
    def whole(self) -> Part:
        """Of all layers."""
        return _sum(self.layers.values())

    def plain(self) -> dict[str, Any]:
        """For summary.json."""
        return {**_plain(self.whole), "memories": self.places, "layers": {k: _plain(v) for k, v in self.layers.items()}}


def _plain(part: Part) -> dict[str, float]:
    return {"picojoule": part.total, "compute": part.compute, "memory": part.memory}


def _sum(parts: Iterable[Part]) -> Part:
    compute = memory = 0.0
    for part in parts:
        compute, memory = compute + part.compute, memory + part.memory
    return Part(compute, memory)


def kind_of(term: Term) -> str:
    """Which kind of values a term of the memory is."""
    if term.name.startswith("history") or "steps" in term.formula:
        return HISTORY
    fixed = term.name in ("readout", "feedback", "random state of dropout")
    return WEIGHTS if fixed or term.name.endswith(("weights", "biases")) else STATES


def held(memory: Memory, training: bool) -> dict[str, int]:
    """Bits of each kind."""
    bits = dict.fromkeys(KINDS, 0)
    for layer in memory.terms.values():
        for term in layer:
            if training or term.inference:
                bits[kind_of(term)] += term.at(memory.batch_size if training else 1)[0]
    return bits


def energy_of(counts: dict[str, list[Count]], bits: dict[str, int], hardware: Hardware) -> Energy:
    """By a table; ``bits``: `held`."""
    places = {kind: hardware.memory_for(number) for kind, number in bits.items() if number}
    layers = {}
    for name, found in counts.items():
        priced = [(done.kind in (ADD, MULTIPLY), done.picojoule(hardware, places)) for done in found]
        layers[name] = Part(*(sum(cost for computes, cost in priced if computes is wanted) for wanted in (True, False)))
    return Energy(layers, places)


def synaptic_operations(counts: dict[str, list[Count]]) -> tuple[float, float]:
    """Accumulates (of spikes) and multiply-accumulates (of traces, and of a readout's features)."""
    found = [done for layer in counts.values() for done in layer]
    accumulates = sum(done.number for done in found if done.name in SYNAPTIC[:2])
    products = sum(done.number for done in found if done.name in (SYNAPTIC[2], "readout") and done.kind == MULTIPLY)
    return accumulates, products


def energies(counts: NetCounts, memory: Memory, hardware: Hardware) -> tuple[Energy, Energy]:
    """In inference, of a sample, and of a training step, of a batch."""
    return (
        energy_of(counts.inference, held(memory, training=False), hardware),
        energy_of(counts.training, held(memory, training=True), hardware),
    )


def counted(counts: dict[str, list[Count]], energy: Energy, hardware: Hardware) -> dict[str, list[dict[str, Any]]]:
    """Every count with its formula and what it costs, for cost.json."""
    return {
        name: [
            {
                "name": done.name, "kind": done.kind, "number": done.number, "formula": done.formula,
                "bits": [32 if bits is None else bits for bits in done.bits],
                **({"memory": energy.places[done.memory]} if done.memory else {}),
                "picojoule": done.picojoule(hardware, energy.places),
            }
            for done in found
        ]
        for name, found in counts.items()
    }  # fmt: skip
