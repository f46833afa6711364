"""Which traces of local learning are other than 0, where spikes are not measured but assumed at a rate.

One spike keeps the membrane trace P of its place above 0 for as long as its decays and its bits let it, in full precision for
good. A trace is 0 where there was no spike in as many steps before:

    share = 1 - (1 - rate)^steps

``steps``: those in which one spike keeps P above 0, as far as the sample has had as many: in its step t the lags 0..t. What
several spikes keep above 0 together, when each alone would not, is not among them.
"""

from typing import Any

import torch
from torch import Tensor

from qsnn.dynamics.integer_local.traces import trace_step as integer_trace_step
from qsnn.dynamics.traces import trace_step
from qsnn.layers.integer_local_layer import IntegerLocalLayer

FORMULA = "1 - (1 - rate)^steps, steps in which decays and bits keep one spike's trace above 0"


def trace_shares(layer: Any, rate: float, num_steps: int, burn_in: int) -> tuple[Tensor, Tensor]:
    """Share of steps in which the trace of each place (I) is other than 0, of all and of those after burn-in, float64."""
    advance = integer_trace_step if isinstance(layer, IntegerLocalLayer) else trace_step
    state, traces = layer.initial_state(1).traces, layer.constants().traces
    spikes = torch.ones_like(state.synapse)
    steps = torch.zeros_like(spikes, dtype=torch.float64)
    shares, voting = torch.zeros_like(steps), torch.zeros_like(steps)
    for time in range(num_steps):
        state = advance(spikes, state, traces)
        spikes = torch.zeros_like(spikes)
        steps += state.membrane != 0
        share = 1 - (1 - rate) ** steps
        shares += share
        voting += share if time >= burn_in else 0
    return shares.flatten() / num_steps, voting.flatten() / max(1, num_steps - burn_in)
