"""Recurrent nets as an option: hidden layers whose spikes come back to them one step later."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from qsnn.dynamics.integrator import IntegratorParameters
from qsnn.kernels.backend import Backend
from qsnn.models.building import Start, layer_names, neurons_of, output_layer, recurrent_linear
from qsnn.models.geometry import BACKPROPAGATED, Shape
from qsnn.models.spiking_net import SpikingNet
from qsnn.options import MAX_FACTOR, Option, key, option
from qsnn.quantization.bit_widths import BitWidths


@option("model", "recurrent")
@dataclass
class Recurrent(Option):
    """Fully connected layers, the hidden ones with recurrent weights; the output layer has none."""

    gives: ClassVar[frozenset[str]] = frozenset({BACKPROPAGATED})

    hidden: list[int] = key([256], "neurons of each hidden layer, input first", at_least=1, at_most=1_000_000)
    fan_in: int | None = key(
        None, "inputs that initialisation assumes in every layer; null: each weight matrix' own",
        at_least=1, at_most=1_000_000,
    )  # fmt: skip
    init_beta: float | None = key(
        None,
        "initial weights reach beta / 2^(weight_bits-1); null: 2^(weight_bits-1) - 0.5, the whole range",
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
        sizes = [math.prod(inputs), *self.hidden]
        widths = bits.by_layer(len(sizes))
        neurons = neurons_of(neuron, widths)
        start = Start(self.fan_in, self.init_beta, seed, backend, self.init_range)
        layers = {
            name: recurrent_linear(start, name, *pair, width, parameters)
            for name, pair, width, parameters in zip(
                layer_names(len(self.hidden)), pairwise(sizes), widths, neurons, strict=False
            )
        }
        output = output_layer(start, sizes[-1], num_outputs, widths[-1], neurons[-1], integrator)
        return SpikingNet({**layers, "output": output})
