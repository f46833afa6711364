"""Whether the spike counts in a run's folder can be those of its net: input like any other file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qsnn.config.building.cost import Costed
from qsnn.config.schema import Config
from qsnn.data.words import CLASSES
from qsnn.errors import RunFolderError
from qsnn.hardware.counts.net import ways_of
from qsnn.hardware.counts.rates import neurons_of, outputs_of, spikes_at_all
from qsnn.models.connections import fan_outs, num_weights
from qsnn.models.spike_counts import INPUT, OUTPUT, RECURRENT, SYNAPTIC, VOTING_TRACE, SpikeCounts
from qsnn.training.folders.spike_counts import COUNTS, again

Reach = Mapping[str, Any]
"""Of `fan_outs`."""


def size_of(config: Config, summary: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Samples and steps of the evaluation at a run's end, as far as its config and its summary tell."""
    if CLASSES in config.dataset.gives:
        parts = summary.get("recordings")
        tested = parts.get("test") if isinstance(parts, dict) else None
        steps = config.dataset.windows(config.neuron.dt, training=False).num_steps
        return tested if type(tested) is int else None, steps
    return 1, getattr(config.dataset, "num_steps", None)


def check_fits(costed: Costed, counts: SpikeCounts, size: tuple[int | None, int | None], folder: Path) -> None:
    """Raise RunFolderError, with the entry and what it should be, unless the counts can be of this net in a test of ``size``,
    (samples, steps)."""
    wrong = next(_wrong(costed, counts, size), None)
    if wrong is not None:
        raise RunFolderError(f"{folder / COUNTS} is of another net or test, or damaged: {wrong}; {again(folder)}")


def _wrong(costed: Costed, counts: SpikeCounts, size: tuple[int | None, int | None]) -> Iterator[str]:
    for name, found, wanted in zip(("samples", "steps"), (counts.samples, counts.num_steps), size, strict=True):
        if wanted not in (None, found):
            yield f"size says {found} {name}, the run's test has {wanted}"
    reach = fan_outs(costed.net, costed.inputs)
    yield from _wrong_names(costed.net, counts, reach)
    yield from _wrong_numbers(costed, counts, reach)


def _places(net: Any, reach: Reach) -> dict[str, int]:
    """By what arrives: from how many places it may."""
    found = {
        f"{name}.{way}": len(reach[f"{name}.{RECURRENT if way == RECURRENT else INPUT}"])
        for name, ways in ways_of(net).items()
        for way in ways
    }
    name, last = list(net.layers.items())[-1]
    pools = spikes_at_all(last) and outputs_of(last) < neurons_of(last)
    return {**found, **({f"{name}.{OUTPUT}": outputs_of(last)} if pools else {})}


def _wrong_names(net: Any, counts: SpikeCounts, reach: Reach) -> Iterator[str]:
    """Entries that are missing, or that the net has no use for."""
    weights, places = num_weights(net), _places(net, reach)
    spiking = {name for name, layer in net.layers.items() if spikes_at_all(layer)}
    wanted = {
        "arrived": {*places}, "spikes": spiking, "weights": {*weights},
        "live": {place for place in places if not place.endswith(f".{OUTPUT}")},
    }  # fmt: skip
    for part, names in wanted.items():
        found, silent = {*getattr(counts, part)}, {*net.layers} if part == "spikes" else set()
        for name in sorted(names - found):
            yield f"it lacks {part}.{name}"
        for name in sorted(found - names - silent):
            yield f"it has {part}.{ascii(name)[1:-1][:60]}, which the net has not"


def _wrong_numbers(costed: Costed, counts: SpikeCounts, reach: Reach) -> Iterator[str]:
    """Entries of another shape, and numbers that are more than there can be."""
    yield from _too_many_arrived(costed, counts, reach)
    yield from _too_many_spikes(costed.net, counts)
    yield from _more_handed_on(costed.net, counts)
    for way, (number, _) in num_weights(costed.net).items():
        found, zeros = counts.weights[way]
        if found != number or zeros > number:
            yield f"weights.{way} is {[found, zeros]}, the net has {number}, of which at most all are 0"


def _too_many_arrived(costed: Costed, counts: SpikeCounts, reach: Reach) -> Iterator[str]:
    steps = {RECURRENT: counts.num_steps - 1, VOTING_TRACE: max(0, counts.num_steps - costed.burn_in)}
    for place, number in _places(costed.net, reach).items():
        arrived, way = counts.arrived[place], place.rpartition(".")[2]
        most = counts.samples * steps.get(way, counts.num_steps)
        if len(arrived) != number:
            yield f"arrived.{place} is of {len(arrived)} places, the net has {number}"
        elif arrived.max() > most:
            yield f"arrived.{place} has {arrived.max():.0f} at a place, of at most {most} in all samples and steps"
        elif way != OUTPUT:
            met = float(arrived @ reach[f"{place.rpartition('.')[0]}.{SYNAPTIC[way]}"])
            if counts.live[place] > met:
                yield f"live.{place} is {counts.live[place]}, of at most {met:.0f} connections that were met"


def _too_many_spikes(net: Any, counts: SpikeCounts) -> Iterator[str]:
    for name, spikes in counts.spikes.items():
        most = counts.samples * counts.num_steps * neurons_of(net.layers[name]) * spikes_at_all(net.layers[name])
        if spikes > most:
            yield f"spikes.{name} is {spikes}, of at most {most} in all samples, steps and neurons"


def _more_handed_on(net: Any, counts: SpikeCounts) -> Iterator[str]:
    """A layer hands on at most as many spikes as it has."""
    names = list(net.layers)
    places = [*(f"{name}.{INPUT}" for name in names[1:]), f"{names[-1]}.{OUTPUT}"]
    for name, place in zip(names, places, strict=True):
        handed = float(counts.arrived[place].sum()) if place in counts.arrived else 0
        if handed > counts.spikes[name]:
            yield f"arrived.{place} is {handed:.0f} in all, of at most {counts.spikes[name]} of spikes.{name}"
