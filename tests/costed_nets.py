"""Small nets that are worked out by hand, and what they cost once they have seen some spikes."""

from typing import Any

import torch
from local_data import SMALL_NET
from torch import Tensor

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import costed_config, costs_by, measured_rates
from qsnn.config.command_line import compose_config
from qsnn.hardware.cost import Costs
from qsnn.models.spike_counts import SpikeCounts, arrivals, spike_counts

DENSE = ["experiment=quick", "kernels=eager", "dataset.num_inputs=3", "model.hidden=[2]", "dataset.num_outputs=1"]
DENSE += ["dataset.num_steps=4", "dataset.target=tree", "optimizer=sgd", "optimizer.eta=2"]
RANDMAN = ["experiment=randman", "kernels=eager", "dataset.num_units=5", "model.hidden=[3]", "dataset.num_classes=2"]
CONV = ["experiment=gesture_bptt", "kernels=eager", "model=conv", "model.channels=[4]", "model.kernel_size=[3]"]
CONV += ["model.padding=[1]", "model.pooling=[2]", "neuron=lif", "quantization=bits8"]
LOCAL = ["experiment=icons_gesture", "dataset=synthetic_gesture", "dataset.downsample=8", "kernels=eager", *SMALL_NET]


@torch.no_grad()
def counted(words: list[str], x: Tensor) -> tuple[Costs, dict[str, Any], SpikeCounts]:
    """Costs of a fresh net that has seen ``x`` (T, B, ...), what its layers did, and what was counted."""
    config = to_config(compose_config(words))
    costed = costed_config(config)
    activity, _ = costed.net(x)
    arrived = {
        f"{name}.{way}": counts
        for name, ways in arrivals(x, activity, costed.net).items()
        for way, counts in ways.items()
    }
    spikes = {name: int(layer.spikes.sum()) for name, layer in activity.items()}
    counts = spike_counts(costed.net, costed.inputs, (x.shape[1], len(x)), arrived, spikes)
    return costs_by(config, costed, measured_rates(costed, counts)), activity, counts
