"""Architectures, one a file."""

from qsnn.models.feedforward import build_feedforward
from qsnn.models.spiking_net import Activity, SpikingNet, State

__all__ = ["Activity", "SpikingNet", "State", "build_feedforward"]
