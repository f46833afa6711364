"""A time step of a layer that learned locally, in codes. Source: [ICONS]; equations of `qsnn.dynamics.integer_local`.

traces       p' = min((p1 p + p2 q + half) >> shift, 2^pb - 1)           p uses the old q; half = 2^(shift-1)
             q' = clamp((q1 q + q2 x + half) >> shift, 0, 2^qb - 1)
membrane     a  = sum p' w + ((b1 b + half) >> b2)
             u  = clamp((u1 a - (subtracted[r] << (u2 - 8)) + half) >> u2)
             s  = 1 if u >= 0 else 0;  r' = after[s, r]
output       1 where the largest u of a pooling window is at least 0
readout      z  = activation[u of the window's largest + 2^(ub-1) - 1];  c = clamp(rint(sum z G 2^-shift))
"""

from typing import NamedTuple

import numpy as np

from qsnn.deploy.accumulate import Accumulators, Overflows, products, total
from qsnn.deploy.arithmetic import Codes, Whole, clamped, code_type, half_up, highest_code, rounded_code, whole
from qsnn.deploy.model import LocalLayer, LocalMembrane, Readout, size
from qsnn.deploy.spiking import convolved


class LocalState(NamedTuple):
    """After a step, of samples B: traces ``p`` and ``q`` of the inputs (B, I), ``refractory`` r, and of the step ``membrane``
    u and ``spikes`` of the neurons (B, N), before pooling, and the ``readout`` c (B, K), (B, 0) where nobody asks it."""

    p: Codes
    q: Codes
    refractory: Codes
    membrane: Codes
    spikes: Codes
    readout: Codes


def rest(layer: LocalLayer, samples: int) -> LocalState:
    """Zeros, in the types of their codes."""
    inputs, neurons, m = size(layer.inputs), size(layer.neurons), layer.membrane
    p, q, r = (code_type(0, 2**bits - 1) for bits in (layer.traces.p_bits, layer.traces.q_bits, m.r_bits))
    classes, kind = 0, np.int8
    if layer.readout is not None:
        classes = len(layer.readout.weight.codes)
        kind = code_type(-highest_code(layer.readout.bits), highest_code(layer.readout.bits))
    return LocalState(
        np.zeros((samples, inputs), p), np.zeros((samples, inputs), q), np.zeros((samples, neurons), r),
        np.zeros((samples, neurons), code_type(-highest_code(m.u_bits), highest_code(m.u_bits))),
        np.zeros((samples, neurons), np.int8), np.zeros((samples, classes), kind),
    )  # fmt: skip


def step(
    layer: LocalLayer, state: LocalState, x: Whole, sums: Accumulators, counted: Overflows
) -> tuple[LocalState, Whole]:
    """Inputs (B, I) to the state after the step, and to the output (B, outputs)."""
    p, q = _traces(layer, state, x, sums, counted)
    maps = convolved(
        p.reshape(len(p), *layer.inputs), layer.weight.codes, 1, layer.padding, sums, counted, "convolution"
    )
    accumulator = total([maps, bias_terms(layer)], "drive", sums, counted)
    refractory = whole(state.refractory)
    u = _potential(layer.membrane, accumulator, refractory, sums, counted)
    spikes = (u >= 0).astype(np.int64)
    after = layer.membrane.after[spikes, refractory]
    largest = pooled(layer, u)
    readout = state.readout
    if layer.readout is not None:
        readout = _readout(layer.readout, largest, layer.membrane.u_bits, sums, counted).astype(readout.dtype)
    new = LocalState(
        p.astype(state.p.dtype), q.astype(state.q.dtype), after.astype(state.refractory.dtype),
        u.astype(state.membrane.dtype), spikes.astype(np.int8), readout,
    )  # fmt: skip
    return new, (largest >= 0).astype(np.int64)


def _traces(
    layer: LocalLayer, state: LocalState, x: Whole, sums: Accumulators, counted: Overflows
) -> tuple[Whole, Whole]:
    t, p, q = layer.traces, whole(state.p), whole(state.q)
    half = np.array(1 << t.shift >> 1)
    raw_q = total([t.q1.ravel() * q, t.q2.ravel() * x, half], "synapse_trace", sums, counted)
    raw_p = total([t.p1.ravel() * p, t.p2.ravel() * q, half], "membrane_trace", sums, counted)
    return np.clip(raw_p >> t.shift, 0, 2**t.p_bits - 1), np.clip(raw_q >> t.shift, 0, 2**t.q_bits - 1)


def bias_terms(layer: LocalLayer) -> Whole:
    """Of every neuron (N), on the accumulator's grid."""
    terms = half_up(layer.membrane.b1 * layer.bias, layer.membrane.b2)
    return np.repeat(terms, size(layer.neurons[1:]))


def _potential(m: LocalMembrane, drive: Whole, refractory: Whole, sums: Accumulators, counted: Overflows) -> Whole:
    half = np.array(0 if m.u_bits == 1 else 1 << m.u2 >> 1)  # one bit is the sign of the exact number
    terms = [m.u1 * drive, -(m.subtracted[refractory] << (m.u2 - 8)), half]
    raw = total(terms, "membrane_product", sums, counted)
    return clamped(raw if m.u_bits == 1 else raw >> m.u2, m.u_bits)


def pooled(layer: LocalLayer, u: Whole) -> Whole:
    """(B, N) to the largest of each window (B, outputs); pixels that fill no window are left out."""
    channels, height, width = layer.outputs
    side, maps = layer.pooling, u.reshape(len(u), *layer.neurons)
    cut = maps[:, :, : height * side, : width * side].reshape(-1, channels, height, side, width, side)
    return cut.max((3, 5)).reshape(len(u), -1)


def _readout(readout: Readout, largest: Whole, u_bits: int, sums: Accumulators, counted: Overflows) -> Whole:
    z = readout.activation[largest + highest_code(u_bits)]
    found = products(z, readout.weight.codes.T, "readout", sums, counted)
    return rounded_code(found, readout.shift, readout.bits)
