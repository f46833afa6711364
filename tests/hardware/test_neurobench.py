"""Synaptic operations and sparsities are those that the neurobench package counts, where it is installed
(pip install --no-deps neurobench snntorch).

It counts what modules of torch that it knows are given, so a net's steps are replayed through such modules.
"""

from typing import Any

import pytest
import torch
from costed_nets import CONV, DENSE, LOCAL, RANDMAN, counted
from torch import Tensor, nn

from qsnn.config.building.common import to_config
from qsnn.config.building.cost import costed_config, costs_by, measured_rates
from qsnn.config.command_line import compose_config
from qsnn.data.events.batches import Batch
from qsnn.models.local_net import LocalNet
from qsnn.models.spike_counts import spike_counts
from qsnn.training.local_learning import evaluate_batch

pytest.importorskip("neurobench.metrics.workload", exc_type=ImportError)

Steps = list[tuple[str, Tensor]]
"""What each module is given, in order."""


class Spikes(nn.Module):
    """What neurobench takes for neurons."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Replay(nn.Module):
    """Modules by name, and what they are given."""

    def __init__(self, connections: dict[str, nn.Module], steps: Steps) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({**connections, "spikes": Spikes()})
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        for name, given in self.steps:
            self.parts[name](given)
        return x


def connection(weight: Tensor, stride: int = 1, padding: int = 0) -> nn.Module:
    """Of (I, N), or (O, C, k, k)."""
    if weight.dim() == 2:
        made: Any = nn.Linear(*weight.shape, bias=False)
        made.weight.data = weight.T.contiguous()
    else:
        made = nn.Conv2d(weight.shape[1], len(weight), weight.shape[2], stride, padding, bias=False)
        made.weight.data = weight
    return made


def told(net: Replay, samples: int) -> dict[str, float]:
    from neurobench.metrics.static import ConnectionSparsity
    from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
    from neurobench.models import TorchModel

    model = TorchModel(net)
    model.add_activation_module(Spikes)
    model.register_hooks()
    x = torch.zeros(samples, 1)
    with torch.no_grad():
        model(x)
        operations = SynapticOperations()(model, x, (x, x))
    return {
        **{name.lower(): float(value) for name, value in operations.items()},
        "activation_sparsity": ActivationSparsity()(model, x, (x, x)),
        "connection_sparsity": ConnectionSparsity()(model),
    }


def agree(ours: dict[str, float], theirs: dict[str, float]) -> None:
    exact = ("effective_acs", "effective_macs", "dense", "activation_sparsity")
    assert {name: ours[name] for name in exact} == pytest.approx({name: theirs[name] for name in exact}, rel=1e-6)
    assert round(ours["connection_sparsity"], 4) == pytest.approx(theirs["connection_sparsity"], abs=1e-4)
    assert ours["effective_acs"] + ours["effective_macs"] > 0


@pytest.mark.parametrize(
    "words",
    [[*DENSE, "neuron.threshold=0.2"], [*RANDMAN, "model=recurrent", "model.hidden=[3]", "quantization.weight_bits=2"],
     [*CONV, "dataset.downsample=8", "neuron.threshold=0.05", "quantization.weight_bits=2"]],
    ids=["dense", "recurrent", "convolution"],
)  # fmt: skip
def test_accumulates_and_sparsities_are_those_of_neurobench(words: list[str]) -> None:
    torch.manual_seed(0)
    inputs = costed_config(to_config(compose_config(words)))
    x = (torch.rand(6, 2, *inputs.inputs) < 0.4).float()
    costs, activity, _ = counted(words, x)
    connections, steps = {}, Steps()
    for name, layer in inputs.net.layers.items():
        convolution = getattr(layer, "convolution", None)
        place = (convolution.stride, convolution.padding) if convolution is not None else ()
        spikes = activity[name].spikes
        for part, stored in layer.weights().items():
            connections[f"{name}_{part}"] = connection(stored.quantized_weight(), *place)
            for t in range(len(x)):
                given = x[t] if part == "weight" else spikes[t - 1] if t else torch.zeros_like(spikes[0])
                steps.append((f"{name}_{part}", given if convolution is not None else given.flatten(1)))
        steps += [("spikes", step) for step in spikes]
        x = activity[name].output
    agree(costs.plain()["neurobench"], told(Replay(connections, steps), 2))


def test_multiply_accumulates_of_traces_are_those_of_neurobench() -> None:
    config = to_config(compose_config([*LOCAL, "trainer.burn_in=0.05"]))
    costed = costed_config(config)
    net: LocalNet = costed.net
    torch.manual_seed(0)
    x = (torch.rand(52, 2, *costed.inputs) < 0.02).float()
    batch = Batch(x, torch.zeros(2, dtype=torch.long), torch.arange(2))
    tallies = evaluate_batch(net, batch, costed.burn_in, by_neuron=True)
    arrived = {f"{name}.{way}": n for name, tally in tallies.items() for way, n in tally.arrived.items()}
    spikes = {name: tally.spikes for name, tally in tallies.items()}
    counts = spike_counts(net, costed.inputs, (2, 52), arrived, spikes)
    ours = costs_by(config, costed, measured_rates(costed, counts)).plain()["neurobench"]
    weights = {name: layer.effective_weights() for name, layer in net.layers.items()}
    connections = {
        name: connection(weights[name][0], padding=layer.settings.padding) for name, layer in net.layers.items()
    }
    states, constants, steps = net.initial_states(2), net.constants(), Steps()
    for events in x:
        for name, layer in net.layers.items():
            step, states[name] = layer(events, states[name], weights[name], constants[name])
            steps += [(name, step.trace), ("spikes", (step.membrane.membrane >= 0).float())]
            events = step.activation.spikes
    readout = (52 - costed.burn_in) * net.layers["layer2"].readout_weight.numel()
    for name in ("effective_macs", "dense"):  # of the readout neurobench is given nothing here
        ours[name] -= readout
    agree(ours, told(Replay(connections, steps), 2))
