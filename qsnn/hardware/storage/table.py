"""Schemes side by side: rows for tables and JSON, and the table itself."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from qsnn.hardware.storage.crossover import PAIRS, crossover
from qsnn.hardware.storage.schemes import KINDS, SIGNS, Access, Rates, accesses, schemes_of, storage_bits
from qsnn.hardware.storage.synapses import Synapses

CROSSBAR = "crossbar"


class StorageRow(NamedTuple):
    """A layer in a scheme. ``access``: by kind, of a step."""

    layer: str
    scheme: str
    bits: int
    access: dict[str, Access]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        kinds = {kind: {"accesses": found.accesses, "bits": found.bits} for kind, found in self.access.items()}
        return {"layer": self.layer, "scheme": self.scheme, "bits": self.bits, **kinds}


def storage_rows(layers: Mapping[str, Synapses], rates: Mapping[str, Rates]) -> list[StorageRow]:
    """Each layer in each scheme that it can have; ``rates`` by layer."""
    return [
        StorageRow(
            name, scheme, storage_bits(layer, scheme),
            {kind: accesses(layer, scheme, kind, rates[name]) for kind in KINDS},
        )
        for name, layer in layers.items()
        for scheme in schemes_of(layer)
    ]  # fmt: skip


def totals(rows: Sequence[StorageRow]) -> list[StorageRow]:
    """Of the net, in the schemes that all of its layers can have."""
    layers = {row.layer for row in rows}
    found = []
    for scheme in dict.fromkeys(row.scheme for row in rows):
        those = [row for row in rows if row.scheme == scheme]
        if len(those) == len(layers):
            kinds = {kind: sum((row.access[kind] for row in those), Access(0.0, 0.0)) for kind in KINDS}
            found.append(StorageRow("all layers", scheme, sum(row.bits for row in those), kinds))
    return found


def storage_table(layers: Mapping[str, Synapses], rates: Mapping[str, Rates], told: Mapping[str, str]) -> str:
    """A part for each layer, and one for all; ``told``: by layer, what is said of its rates."""
    rows = storage_rows(layers, rates)
    parts = []
    for name, layer in layers.items():
        those = [row for row in rows if row.layer == name]
        parts.append("\n".join([_heading(name, layer), f"  {told[name]}", *_lines(those), *_crossovers(layer)]))
    if len(layers) > 1:
        parts.append("\n".join(["all layers", *_lines(totals(rows))]))
    return "\n\n".join(parts)


def _heading(name: str, layer: Synapses) -> str:
    kind = f", a convolution that stores {layer.kernels:,} codes once" if layer.kernels else ""
    return (
        f"{name}: {layer.inputs:,} inputs, {layer.neurons:,} neurons, {layer.num:,} synapses of {layer.bits} bits{kind}; "
        f"{layer.sparsity:.1%} of codes are zero"
    )


def _lines(rows: Sequence[StorageRow]) -> Iterator[str]:
    """Two lines a scheme would be too many: accesses, and in brackets bits, side by side."""
    header = ["", "bits", *(f"{kind}: accesses (bits)" for kind in KINDS)]
    cells = [header] + [
        [
            row.scheme, f"{row.bits:,} {row.bits / rows[0].bits:7.1%}",
            *(f"{found.accesses:,.0f} ({found.bits:,.0f})" for found in row.access.values()),
        ]
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[place]) for line in cells) for place in range(len(header))]
    for line in cells:
        yield f"  {line[0]:<{widths[0]}}" + "".join(
            f"  {text:>{width}}" for text, width in zip(line[1:], widths[1:], strict=True)
        )


def _crossovers(layer: Synapses) -> Iterator[str]:
    """Of dense layers: connectivity of a convolution is sparse whatever its codes are."""
    if layer.kernels:
        return
    pairs = [*PAIRS, *([(SIGNS, CROSSBAR)] if layer.bits == 2 else [])]
    told = [(pair, crossover(pair, layer.inputs, layer.neurons, layer.bits)) for pair in pairs]
    known = [f"{a} than {b} from {share:.1%} zeros on" for (a, b), share in told if share is not None]
    never = [f"{a} than {b} never" for (a, b), share in told if share is None]
    yield f"  fewer bits: {'; '.join([*known, *never])}"
