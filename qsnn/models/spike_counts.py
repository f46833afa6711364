"""What an evaluation counted, from which operations and accesses follow: spikes by the place at which they came in.

By ``<layer>.<way>``, over all samples and steps:

    input          spikes, or signed events, that came from the layer before, or from the data, (I)
    recurrent      spikes that came back to the layer a step later: those of all steps but the last, (N)
    trace          of local learning: membrane traces other than 0, which its synapses multiply, (I)
    voting_trace   the same in the steps after burn-in, in which it learns and votes
    output         spikes that the last layer hands on, if it pools them (of others they come in somewhere), (O)
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qsnn.kernels.convolution import EXACT_SUM
from qsnn.models.connections import fan_outs, knows, num_weights

INPUT, RECURRENT, TRACE, VOTING_TRACE, OUTPUT = "input", "recurrent", "trace", "voting_trace", "output"
SYNAPTIC = {TRACE: INPUT, VOTING_TRACE: INPUT, RECURRENT: RECURRENT, INPUT: INPUT}
"""By what is counted: the way of whose connections it is."""


class SpikeCounts(NamedTuple):
    """``samples`` of ``num_steps`` each; ``arrived``: as above, float64; ``spikes``: by layer, before pooling; ``live``: by
    what is in ``arrived``, but output, how often one of these met a weight other than 0; ``weights``: by way, how many, and
    how many 0."""

    samples: int
    num_steps: int
    arrived: dict[str, Tensor]
    spikes: dict[str, int]
    live: dict[str, int]
    weights: dict[str, tuple[int, int]]


def arrivals(x: Tensor, activity: Mapping[str, Any], model: Any) -> dict[str, dict[str, Tensor]]:
    """By layer: ``input`` and, of recurrent layers, ``recurrent`` of a pass with input ``x`` (T, B, ...)."""
    found: dict[str, dict[str, Tensor]] = {}
    x = x.abs()  # of signed events
    for name, layer in activity.items():
        found[name] = {INPUT: by_place(x)}
        if "recurrent_weight" in model.layers[name].weights():
            found[name][RECURRENT] = by_place(layer.spikes[:-1])
        x = layer.output
        pools = 0 < x[0, 0].numel() < layer.spikes[0, 0].numel()
    if pools:
        found[name][OUTPUT] = by_place(x)
    return found


def by_place(spikes: Tensor) -> Tensor:
    """Spikes (T, B, ...), 0 or 1, of all steps and samples at each place, (N) float64.

    Summed as float32, which takes an eighth of the time, as long as these count in ones.
    """
    steps = spikes.flatten(2).flatten(0, 1)
    kind = torch.float32 if len(steps) <= EXACT_SUM else torch.float64
    return steps.sum(0, dtype=kind).double()


def spike_counts(
    net: Any, inputs: tuple[int, ...], size: tuple[int, int], arrived: dict[str, Tensor], spikes: dict[str, int]
) -> SpikeCounts | None:
    """Those of ``size`` (samples, steps), which the ``net`` as it is has seen; ``inputs``: shape of its input in a step.

    None of a net that has layers of another package.
    """
    if not knows(net):
        return None
    reach = fan_outs(net, inputs, live=True)
    live = {}
    for place, counts in arrived.items():
        layer, kind = place.rsplit(".", 1)
        if kind == OUTPUT:  # meets no weight of the net
            continue
        live[place] = round(float(counts.detach().cpu() @ reach[f"{layer}.{SYNAPTIC[kind]}"]))
    return SpikeCounts(
        *size, {name: counts.detach().cpu() for name, counts in arrived.items()}, spikes, live, num_weights(net)
    )
