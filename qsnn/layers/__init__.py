"""Modules with parameters and state over the pure functions of the floors below."""

from qsnn.layers.activity import SpikingActivity
from qsnn.layers.lif import LIF
from qsnn.layers.linear import QuantizedLinear
from qsnn.layers.spiking_linear import SpikingLinear

__all__ = ["LIF", "QuantizedLinear", "SpikingActivity", "SpikingLinear"]
