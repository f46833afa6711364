"""The engine beside the net that it was exported from: every code of every step of every layer, one against the other.

What the net computes are floats on grids, or integers; a float that is not the engine's code counts as one that differs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qsnn.deploy.engine import Answer, IntegerEngine
from qsnn.deploy.model import Model, SpikingLayer
from qsnn.models import SpikingNet
from qsnn.models.local_net import LocalNet

Tensors = dict[tuple[str, str], NDArray[Any]]
"""By layer and tensor, (B, N): what a step left."""


class Mismatch(NamedTuple):
    """Where the first codes differ, and which they are."""

    layer: str
    tensor: str
    step: int
    sample: int
    neuron: int
    trained: float
    engine: int

    def __str__(self) -> str:
        where = f"step {self.step}, sample {self.sample}, neuron {self.neuron}"
        return f"{self.tensor} of layer {self.layer}, {where}: training has {self.trained:g}, the engine {self.engine}"


@dataclass
class Comparison:
    """``agreed`` of ``total`` codes, by layer and tensor; ``first``: the earliest that does not, None if all do; of how many
    ``samples``."""

    agreed: dict[tuple[str, str], int] = field(default_factory=dict)
    total: dict[tuple[str, str], int] = field(default_factory=dict)
    first: Mismatch | None = None
    samples: int = 0

    def exact(self) -> bool:
        """Whether there was something to compare, and all of it agrees."""
        return self.first is None and sum(self.total.values()) > 0

    def add(self, step: int, first_sample: int, trained: Tensors, engine: Tensors) -> None:
        """Compare a step of a batch whose first sample has a number."""
        for key, expected in trained.items():
            same = expected == engine[key]
            self.total[key] = self.total.get(key, 0) + same.size
            self.agreed[key] = self.agreed.get(key, 0) + int(np.count_nonzero(same))
            if self.first is None and not same.all():
                sample, neuron = np.argwhere(~same)[0].tolist()
                values = expected[sample, neuron].item(), int(engine[key][sample, neuron])
                self.first = Mismatch(*key, step, first_sample + sample, neuron, *values)


@torch.no_grad()
def compare(engine: IntegerEngine, net: Any, x: Tensor, found: Comparison) -> Answer:
    """The engine and ``net`` on inputs (T, B, ...) of whole numbers, from rest; added to what was ``found`` before. What the
    engine answers."""
    state = engine.initial_state(x.shape[1])
    for number, (theirs, codes) in enumerate(zip(trained_steps(engine.model, net, x), x.numpy(), strict=True)):
        state, _ = engine.step(state, codes)
        found.add(number, found.samples, theirs, _tensors(state.layers))
    found.samples += x.shape[1]
    return engine.answer(state)


def _tensors(layers: dict[str, Any]) -> Tensors:
    return {(name, part): codes for name, state in layers.items() for part, codes in state._asdict().items()}


def trained_steps(model: Model, net: Any, x: Tensor) -> Iterator[Tensors]:
    """What the layers of a net hold after each step of an input (T, B, ...), in codes."""
    return _local_steps(net, x) if isinstance(net, LocalNet) else _spiking_steps(model, net, x)


def _spiking_steps(model: Model, net: SpikingNet, x: Tensor) -> Iterator[Tensors]:
    device = next(iter(net.trained_tensors().values())).device
    activity, _ = net(x.to(device, torch.float32))
    for step in range(len(x)):
        found: Tensors = {}
        for layer in model.layers:
            assert isinstance(layer, SpikingLayer)
            done = activity[layer.name]
            if layer.spike is not None:
                found[layer.name, "spikes"] = _at(done.spikes[step], 0)
            if layer.synapse is not None:
                found[layer.name, "synapse"] = _at(done.synapse[step], layer.synapse.point)
            found[layer.name, "membrane"] = _at(done.membrane[step], layer.membrane.point)
        yield found


def _at(values: Tensor, point: int) -> NDArray[Any]:
    """Values in steps of 2^-point, doubles."""
    found: NDArray[Any] = (values.double() * 2.0**point).cpu().numpy()
    return found


def _local_steps(net: LocalNet, x: Tensor) -> Iterator[Tensors]:
    layers, states, constants = net.layers, net.initial_states(x.shape[1]), net.constants()
    weights = {name: layer.effective_weights() for name, layer in layers.items()}
    device, maps = next(net.parameters()).device, next(iter(layers.values())).tau_mem.shape
    for events in x.to(device, torch.float32).reshape(len(x), -1, *maps):
        found, spikes = Tensors(), events
        for name, layer in layers.items():
            step, states[name] = layer(spikes, states[name], weights[name], constants[name])
            parts = {
                "p": states[name].traces.membrane, "q": states[name].traces.synapse,
                "refractory": states[name].refractory, "membrane": step.membrane.membrane,
                "spikes": step.membrane.membrane >= 0,
            }  # fmt: skip
            found |= {(name, part): _copied(codes) for part, codes in parts.items()}
            spikes = step.activation.spikes
        bits = layer.settings.readout_bits
        assert bits is not None
        # the share r of a step, back to its code
        readout = layer.readout(step, constants[name]).double() * 2.0**bits - 2.0 ** (bits - 1)
        found[name, "readout"] = _copied(readout)
        yield found


def _copied(maps: Tensor) -> NDArray[Any]:
    """(B, C, H, W) as (B, N), which nobody writes to."""
    flat: NDArray[Any] = maps.contiguous(memory_format=torch.contiguous_format).flatten(1).cpu().numpy().copy()
    return flat
