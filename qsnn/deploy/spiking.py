"""A time step of a layer that learned by backpropagation, in codes. Sources: [ISCAS]; NUMERICS sections 3, 5 and 6.

With codes m and c of membrane and synapse, weights w, inputs x and own spikes s of the step before, all on grids 2^-point:

    s      = 1 if m >= spike else 0
    h      = sum x w (+ sum s_before w_r)
    syn'   = clamp(rint(alpha c + h))            alpha = multiplier 2^-shift, exact
    mem'   = clamp(rint(beta m + c - s))         c: the synapse from before the step; h where there is none
    output = s, of pooled maps 1 where any neuron of the window spikes; of an integrator m, and nothing is subtracted

The terms of a sum are shifted to the finest of their grids and added exactly; the one rounding is half to even, to the grid of
the state. At rest all codes are 0, also those of one bit, which are -1 and 1 ever after.
"""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from qsnn.deploy.accumulate import Accumulators, Overflows, products, total
from qsnn.deploy.arithmetic import Codes, Whole, code_type, highest_code, rounded_code, whole
from qsnn.deploy.model import CONV, INTEGRATOR, SpikingLayer, State, size


class SpikingState(NamedTuple):
    """After a step, of samples B: codes ``synapse`` ((B, 0) where there is none) and ``membrane``, and the ``spikes`` that
    came in it (none of an integrator: (B, 0)), (B, N), neurons in the order of their maps."""

    synapse: Codes
    membrane: Codes
    spikes: Codes


def rest(layer: SpikingLayer, samples: int) -> SpikingState:
    """Zeros, in the types of their codes."""
    neurons = size(layer.neurons)
    kinds = [None if s is None else _type_of(s) for s in (layer.synapse, layer.membrane)]
    synapse, membrane = (np.zeros((samples, 0 if kind is None else neurons), kind or np.int8) for kind in kinds)
    spikes = np.zeros((samples, 0 if layer.kind == INTEGRATOR else neurons), np.int8)
    return SpikingState(synapse, membrane, spikes)


def _type_of(state: State) -> type[np.signedinteger]:
    return code_type(-highest_code(state.bits), highest_code(state.bits))


def step(
    layer: SpikingLayer, state: SpikingState, x: Whole, sums: Accumulators, counted: Overflows
) -> tuple[SpikingState, Whole]:
    """Inputs (B, I) to the state after the step, and to the output (B, outputs)."""
    membrane, synapse = whole(state.membrane), whole(state.synapse)
    spikes = np.zeros((len(x), 0), np.int64)
    if layer.spike is not None:
        spikes = (membrane >= layer.spike).astype(np.int64)
    drive = [(current(layer, x, sums, counted), layer.weight.point)]
    if layer.recurrent is not None:
        fed_back = products(whole(state.spikes), layer.recurrent.codes, "recurrent", sums, counted)
        drive.append((fed_back, layer.recurrent.point))
    if layer.synapse is not None:
        arriving = [(synapse, layer.synapse.point)]
        synapse = _next(layer.synapse, synapse, drive, "raw_synapse", sums, counted)
    else:
        arriving = drive
    reset = [] if layer.spike is None else [(-spikes, 0)]
    after = _next(layer.membrane, membrane, [*arriving, *reset], "raw_membrane", sums, counted)
    output = membrane if layer.spike is None else pooled(layer, spikes)
    return SpikingState(
        synapse.astype(state.synapse.dtype), after.astype(state.membrane.dtype), spikes.astype(np.int8)
    ), output


def _next(
    state: State, codes: Whole, arriving: list[tuple[Whole, int]], name: str, sums: Accumulators, counted: Overflows
) -> Whole:
    """``clamp(rint(decay * codes + sum of what arrives))``."""
    terms = [(codes * state.multiplier, state.point + state.shift), *arriving]
    finest = max(point for _, point in terms)
    raw = total([term << (finest - point) for term, point in terms], name, sums, counted)
    return rounded_code(raw, finest - state.point, state.bits)


def current(layer: SpikingLayer, x: Whole, sums: Accumulators, counted: Overflows) -> Whole:
    """h (B, N) of inputs (B, I), in steps of the weights."""
    if layer.kind != CONV:
        return products(x, layer.weight.codes, "current", sums, counted)
    return convolved(x.reshape(len(x), *layer.inputs), layer.weight.codes, layer.stride, layer.padding, sums, counted)


def convolved(
    maps: Whole, weight: Whole, stride: int, padding: int, sums: Accumulators, counted: Overflows, name: str = "current"
) -> Whole:
    """Maps (B, C, H, W) and weights (O, C, k, k) to (B, O H' W')."""
    around = np.pad(maps, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    patches = sliding_window_view(around, weight.shape[2:], (2, 3))[:, :, ::stride, ::stride].transpose(
        0, 2, 3, 1, 4, 5
    )
    rows = patches.reshape(-1, weight[0].size)
    found = products(rows, weight.reshape(len(weight), -1).T, name, sums, counted)
    return found.reshape(len(maps), -1, len(weight)).transpose(0, 2, 1).reshape(len(maps), -1)


def pooled(layer: SpikingLayer, spikes: Whole) -> Whole:
    """(B, N) to (B, outputs): whether any neuron of a window spikes; pixels that fill no window are left out."""
    if layer.pooling == 1:
        return spikes
    channels, height, width = layer.outputs
    side, maps = layer.pooling, spikes.reshape(len(spikes), *layer.neurons)
    cut = maps[:, :, : height * side, : width * side].reshape(-1, channels, height, side, width, side)
    return cut.max((3, 5)).reshape(len(spikes), -1)
