"""The counts of a whole net: of one sample in inference, and of a training step, which is a batch and its update."""

import math
from typing import Any, NamedTuple

from qsnn.hardware.backpropagated import trained_of
from qsnn.hardware.counts import backpropagated, local
from qsnn.hardware.counts.count import Count, summed
from qsnn.hardware.counts.learning import update_of
from qsnn.hardware.counts.rates import Rates
from qsnn.hardware.learning import Learning
from qsnn.hardware.memory import Memory
from qsnn.models.local_net import LocalNet

Counts = dict[str, list[Count]]


class NetCounts(NamedTuple):
    """By layer: ``inference`` of a sample, ``training`` of a batch of ``batch_size`` samples, the update with it."""

    inference: Counts
    training: Counts
    batch_size: int


def counts_of(
    net: Any, inputs: tuple[int, ...], rates: Rates, learning: Learning, memory: Memory, burn_in: int
) -> NetCounts:
    """Those of a net with ``rates``, which learns as ``learning`` says. ``inputs``: shape of its input in a step."""
    if isinstance(net, LocalNet):
        inference = local.inference_of_local_net(net, rates, rates.num_steps, burn_in)
        of_samples = local.training_of_local_net(net, rates, learning, burn_in)
        updates = local.updates_of_local_net(net, rates, learning, burn_in)
    else:
        places = math.prod(inputs)
        inference = backpropagated.inference_of_net(net, places, rates, rates.num_steps)
        of_samples = backpropagated.training_of_net(net, places, rates, learning, memory.terms)
        updates = _updates(net, learning)
    batch = learning.batch_size
    training = {
        name: [*(done.times(batch, "samples") for done in counts), *updates.get(name, ())]
        for name, counts in of_samples.items()
    }
    return NetCounts(inference, training, batch)


def _updates(net: Any, learning: Learning) -> Counts:
    """One of each tensor, once a batch."""
    return {
        name: [
            done
            for trained, error_bits in trained_of(layer, learning.widths[name])
            for done in update_of(name, trained, learning, summed(error_bits, learning.num_steps * learning.batch_size))
        ]
        for name, layer in net.layers.items()
    }


def ways_of(net: Any) -> dict[str, list[str]]:
    """By layer, how spikes arrive, as `qsnn.models.spike_counts` calls them."""
    return dict.fromkeys(net.layers, local.WAYS) if isinstance(net, LocalNet) else backpropagated.ways_of(net)
