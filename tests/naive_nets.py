"""Nets of spiking layers as one would write them down for autograd: a loop over time, in floats of any width, no qsnn.

T time, B batch. The surrogate of a spike is ``1 / (slope * |v| + 1)^2``; the reset carries no gradient; of a pooling window the
neuron with the largest membrane from before the step hands on its spike, the first of equals.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


class Neuron(NamedTuple):
    """``synapse_decay`` of None: the current acts on the membrane at once."""

    synapse_decay: float | None
    membrane_decay: float
    threshold: float
    slope: float


class NaiveLayer(NamedTuple):
    """``kind``: dense, recurrent, conv or readout. ``place``: stride, padding and pooling of a convolution."""

    kind: str
    weight: Tensor
    neuron: Neuron
    recurrent: Tensor | None = None
    place: tuple[int, int, int] = (1, 0, 1)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.slope = slope
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return grads[0] / (ctx.slope * distance.abs() + 1) ** 2, None


def winners(membrane: np.ndarray, window: int) -> np.ndarray:
    """(B, O, H, W) to the places y * W + x of the winners, (B, O, H', W'); what fills no window is left out."""
    height, width = (n // window for n in membrane.shape[2:])
    place = np.empty((*membrane.shape[:2], height, width), np.int64)
    for y, x in np.ndindex(height, width):
        part = membrane[:, :, y * window : (y + 1) * window, x * window : (x + 1) * window]
        dy, dx = np.divmod(part.reshape(*part.shape[:2], -1).argmax(-1), window)  # numpy's is the first of equals
        place[:, :, y, x] = (y * window + dy) * membrane.shape[3] + x * window + dx
    return place


def _arriving(layer: NaiveLayer, x: Tensor) -> Tensor:
    if layer.kind == "conv":
        return functional.conv2d(x, layer.weight, stride=layer.place[0], padding=layer.place[1])
    return x.flatten(1) @ layer.weight


def _pooled(spikes: Tensor, membrane: Tensor, window: int) -> Tensor:
    place = torch.from_numpy(winners(membrane.detach().numpy(), window))
    return spikes.flatten(2).gather(2, place.flatten(2)).view(place.shape)


def naive_layer(layer: NaiveLayer, x: Tensor) -> tuple[Tensor, Tensor]:
    """Input (T, B, ...) to output and spikes before pooling; of a readout, whose output is the membrane, none."""
    outputs, every_spike, (alpha, beta, threshold, slope) = [], [], layer.neuron
    syn = mem = last = torch.zeros_like(_arriving(layer, x[0]))
    for step in x:
        current = _arriving(layer, step)
        if layer.recurrent is not None:
            current = current + last @ layer.recurrent
        spikes = torch.zeros_like(mem) if layer.kind == "readout" else _Spike.apply(mem - threshold, slope)
        pooled = layer.kind == "conv" and layer.place[2] > 1
        outputs.append(mem if layer.kind == "readout" else _pooled(spikes, mem, layer.place[2]) if pooled else spikes)
        every_spike.append(spikes)
        arriving = current if alpha is None else syn
        mem = beta * mem + arriving - spikes.detach()
        syn = syn if alpha is None else alpha * syn + current
        last = spikes
    return torch.stack(outputs), torch.stack(every_spike)


def naive_net(layers: list[NaiveLayer], x: Tensor) -> tuple[Tensor, list[float]]:
    """Output of the last layer, and how often the neurons of each spike."""
    rates = []
    for layer in layers:
        x, spikes = naive_layer(layer, x)
        rates.append(spikes.mean().item())
    return x, rates


def naive_logits(output: Tensor, temperature: float, over_time: str | None) -> Tensor:
    """(T, B, K) to (B, K): ``over_time`` of None counts, max takes the first of equal steps, mean the mean."""
    if over_time is None:
        return temperature * output.sum(0)
    if over_time == "mean":
        return temperature * output.sum(0) / len(output)
    first = torch.from_numpy(output.detach().numpy().argmax(0))
    return temperature * output.gather(0, first[None])[0]


def naive_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch of ``log(sum_k exp z_k) - z_label``."""
    chosen = torch.stack([row[label] for row, label in zip(logits, labels.tolist(), strict=True)])
    return (logits.exp().sum(1).log() - chosen).sum() / len(labels)
