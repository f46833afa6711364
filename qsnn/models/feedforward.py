"""Feedforward nets as an option: any number of fully connected layers, as in [ISCAS] one hidden layer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from qsnn.dynamics import NeuronParameters
from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.kernels.backend import Backend
from qsnn.models.building import Start, layer_names, neurons_of, output_layer, spiking_linear
from qsnn.models.geometry import BACKPROPAGATED, LOCAL, Geometry, Shape
from qsnn.models.spiking_net import SpikingNet
from qsnn.options import MAX_FACTOR, Option, key, option
from qsnn.quantization.bit_widths import BitWidths


def build_feedforward(
    sizes: Sequence[int],
    widths: Sequence[BitWidths],
    neurons: Sequence[NeuronParameters],
    *,
    fan_in: int | None,
    init_beta: float | None,
    seed: int,
    backend: Backend,
    integrator: IntegratorParameters | None = None,
    init_range: float | None = None,
) -> SpikingNet:
    """A net with fresh weights (see `weight_init`), drawn from the streams ``<layer>.weight/init`` of ``seed``.

    ``sizes``: inputs, neurons of each hidden layer, outputs; ``widths`` and ``neurons``: one a layer. ``fan_in``: the inputs
    that initialisation assumes in every layer; None takes each layer's own. ``integrator``: what the output layer is made of;
    None: it spikes. ``init_range``: see `Start`.
    """
    start = Start(fan_in, init_beta, seed, backend, init_range)
    *hidden, (inputs, outputs) = pairwise(sizes)
    names = layer_names(len(hidden))
    layers = {
        name: spiking_linear(start, name, *pair, bits, neuron)
        for name, pair, bits, neuron in zip(names, hidden, widths, neurons, strict=False)
    }
    return SpikingNet({**layers, "output": output_layer(start, inputs, outputs, widths[-1], neurons[-1], integrator)})


@option("model", "feedforward")
@dataclass
class Feedforward(Option):
    """Fully connected layers, any number of them; hidden=[] is an output layer alone."""

    gives: ClassVar[frozenset[str]] = frozenset({BACKPROPAGATED, LOCAL})

    hidden: list[int] = key(
        [400], "neurons of each hidden layer, input first", "", "nb_hidden", at_least=1, at_most=1_000_000
    )
    fan_in: int | None = key(
        None, "inputs that initialisation assumes in every layer; null: each layer's own", "", "784, fixed",
        at_least=1, at_most=1_000_000,
    )  # fmt: skip
    init_beta: float | None = key(
        None,
        "initial weights reach beta / 2^(weight_bits-1); null: 2^(weight_bits-1) - 0.5, the whole range (local learning: 1.5)",
        "",
        "2^(wb-1) - 0.5, fixed",
        above=0,
        at_most=MAX_FACTOR,
    )
    init_range: float | None = key(
        None, "initial weights reach this at least (1: the whole range), whatever their width; null: by init_beta",
        above=0, at_most=1,
    )  # fmt: skip

    def num_layers(self, with_output: bool) -> int:
        """How many layers the net has, with an output layer behind the hidden ones or without."""
        return len(self.hidden) + with_output

    def check_inputs(self, inputs: Shape, with_output: bool) -> None:
        """Any maps will do."""

    def build_spiking(
        self, inputs: Sequence[int], num_outputs: int, neuron: Any, bits: BitWidths,
        integrator: IntegratorParameters | None, seed: int, backend: Backend,
    ) -> SpikingNet:  # fmt: skip
        """The net for ``inputs`` (N,) or (C, H, W), with an output layer. Raises ConfigError for widths that do not fit it."""
        sizes = [math.prod(inputs), *self.hidden, num_outputs]
        widths = bits.by_layer(len(sizes) - 1)
        neurons = neurons_of(neuron, widths)
        return build_feedforward(
            sizes, widths, neurons,
            fan_in=self.fan_in, init_beta=self.init_beta, seed=seed, backend=backend, integrator=integrator,
            init_range=self.init_range,
        )  # fmt: skip

    def geometries(self) -> list[Geometry]:
        """The hidden layers for local learning: convolutions of one pixel over maps of one pixel."""
        return [Geometry(neurons, 1, 0, 1) for neurons in self.hidden]

    def input_maps(self, maps: Shape) -> Shape:
        """What the first layer sees of maps (C, H, W): all pixels as channels of one pixel."""
        return maps[0] * maps[1] * maps[2], 1, 1
