"""The layers of a net that learned locally in integers (``quantization.arithmetic=integer``), for an integer machine."""

from typing import Any

import numpy as np
from torch import Tensor

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.model import LocalLayer, LocalMembrane, Readout, Traces, Weights
from qsnn.errors import ConfigError
from qsnn.layers.integer_local_layer import IntegerLocalLayer
from qsnn.models.local_net import LocalNet
from qsnn.options import impossible
from qsnn.quantization import nearest_codes, symmetric

IN_FLOATS = (
    "traces, refractory state and sigmoid of local learning are floats without it: train with quantization.arithmetic=integer "
    "(quantization=icons_integer, neuron.decay_bits=16)"
)


def local_layers(net: LocalNet, all_readouts: bool = False) -> tuple[LocalLayer, ...]:
    """The layers, input first; readouts of ``all`` of them, or of the last alone, which decides. Raises ConfigError."""
    names = list(net.layers)
    found = []
    for name, layer in net.layers.items():
        if not isinstance(layer, IntegerLocalLayer):
            raise ConfigError(impossible("quantization.arithmetic", "float", IN_FLOATS))
        found.append(_layer_of(name, layer, all_readouts or name == names[-1]))
    return tuple(found)


def _layer_of(name: str, layer: IntegerLocalLayer, with_readout: bool) -> LocalLayer:
    s, (traces, membrane, readout) = layer.settings, layer.constants()
    codes, bias = (_whole(part) for part in layer.effective_weights())
    t, m = traces, membrane
    assert s.weight_bits is not None
    return LocalLayer(
        name, tuple(layer.tau_mem.shape), layer.output_shape(), layer.pooled_shape(),
        Weights(codes, s.weight_bits, s.weight_bits - 1), bias, s.padding, s.refractory.pooling,
        Traces(
            _whole(t.membrane_decay), _whole(t.membrane_gain), _whole(t.synapse_decay), _whole(t.synapse_gain), t.shift,
            t.membrane_bits, t.synapse_bits,
        ),
        LocalMembrane(
            m.drive.multiplier, m.drive.shift, m.bias.multiplier, m.bias.shift, _whole(m.subtracted), _whole(m.after),
            m.membrane_bits, m.refractory_bits,
        ),
        _readout(layer, readout) if with_readout else None,
    )  # fmt: skip


def _readout(layer: IntegerLocalLayer, readout: Any) -> Readout:
    """Features in the order of maps (C, H, W), in which the layer keeps them."""
    bits = layer.settings.readout_weight_bits
    assert bits is not None
    codes = _whole(nearest_codes(layer.readout_weight, symmetric(bits)))
    return Readout(
        Weights(codes, bits, bits - 1),
        readout.shift,
        _whole(readout.activation),
        readout.sigmoid_bits,
        readout.readout_bits,
    )


def _whole(tensor: Tensor) -> Whole:
    return np.ascontiguousarray(tensor.detach().cpu().numpy()).astype(np.int64)
