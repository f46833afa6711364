"""Errors on their way back through a layer, and its weight gradients, in codes. Sources: [ISCAS]; NUMERICS sections 3, 5 and 6.

With E of `codes`, from the last step on, g_s the gradient at the spikes, D the table over the membrane before the step, and
masks of where the states were in range:

    e_thr  = E(g_s D[m]) [m >= mask]     e_mem  = E(g_mem) [mem' in range]     e_syn = E(g_syn) [syn' in range]
    g_mem' = beta e_mem + e_thr          g_syn' = alpha e_syn + e_mem          (multiplier e + e 2^shift)
    e      = e_syn, or e_mem where there is no synapse;  g_s of the step before, of a recurrent layer, has e w_r^T added
    e_h    = E(e) over the whole sequence;  dw = x^T e_h;  dw_r = s[t-1]^T e_h[t];  g_x = e_h w^T

Of a pooled window the winner, the neuron with the largest membrane before the step, of equals the first, has all of its
gradient.
"""

from typing import NamedTuple

import numpy as np

from qsnn.deploy.arithmetic import Codes, Whole, highest_code, whole
from qsnn.deploy.model import CONV, SpikingLayer, State, size
from qsnn.deploy.training.codes import error_codes
from qsnn.deploy.training.forward import Pass, Term, aligned, patches_of, rows_of
from qsnn.deploy.training.held import Held
from qsnn.deploy.training.recipe import SpikingRule


class Learned(NamedTuple):
    """Weight gradients by part, ``weight`` and ``recurrent_weight``, exact sums of errors; and the gradient at the layer's
    inputs with its point, None where nobody wants it."""

    gradients: dict[str, Whole]
    below: Term | None


def backward(layer: SpikingLayer, rule: SpikingRule, done: Pass, grad: Term, held: Held, wants_input: bool) -> Learned:
    """From the gradient at the output (T, B, outputs)."""
    found = _current_errors(layer, rule, done, (unpooled(layer, done.before, grad[0]), grad[1]), held)
    errors = error_codes(found, rule.error_bits)
    gradients = {"weight": _weight_gradient(layer, done.x, errors, held)}
    if layer.recurrent is not None:
        own, later = (_flat(part) for part in (done.spikes[:-1], errors[1:]))
        gradients["recurrent_weight"] = held.products("recurrent_weight_gradient", own.T, later)
    if not wants_input:
        return Learned(gradients, None)
    return Learned(gradients, (_input_gradient(layer, errors, held), rule.error_bits - 1 + layer.weight.point))


def _current_errors(layer: SpikingLayer, rule: SpikingRule, done: Pass, grad: Term, held: Held) -> Whole:
    """e (T, B, N)."""
    steps, found = len(done.x), np.zeros(done.spikes.shape, np.int64)
    g_mem = g_syn = np.zeros(done.spikes.shape[1:], np.int64)
    for t in reversed(range(steps)):
        g_s = grad[0][t]
        if layer.recurrent is not None and t + 1 < steps:
            back = held.products("recurrent_error", found[t + 1], layer.recurrent.codes.T)
            g_s, _ = aligned([(g_s, grad[1]), (back, rule.error_bits - 1 + layer.recurrent.point)])
        e_thr = _through_threshold(layer, rule, held.check("spike_gradient", g_s), done.before[t], held)
        e_mem = error_codes(g_mem, rule.error_bits) * done.membrane[t]
        g_mem = held.check("membrane_gradient", _decayed(layer.membrane, e_mem, e_thr))
        found[t] = e_mem
        if layer.synapse is not None:
            found[t] = error_codes(g_syn, rule.error_bits) * done.synapse[t]
            g_syn = held.check("synapse_gradient", _decayed(layer.synapse, found[t], e_mem))
    return found


def _through_threshold(layer: SpikingLayer, rule: SpikingRule, g_s: Whole, before: Whole, held: Held) -> Whole:
    product = held.check("surrogate", g_s * rule.surrogate[whole(before) + highest_code(layer.membrane.bits)])
    e_thr = error_codes(product, rule.error_bits)
    if not rule.mask:
        return e_thr
    assert layer.mask is not None
    return e_thr * (before >= layer.mask)


def _decayed(state: State, error: Whole, arriving: Whole) -> Whole:
    """``decay * error + arriving``, ``shift`` bits finer than the errors."""
    return state.multiplier * error + (arriving << state.shift)


def unpooled(layer: SpikingLayer, before: Codes, grad: Whole) -> Whole:
    """The gradient at the neurons' spikes (T, B, N) from that at the pooled ones."""
    if layer.pooling == 1:
        return grad.reshape(before.shape)
    channels, height, width = layer.outputs
    side, found = layer.pooling, np.zeros((len(before) * before.shape[1], *layer.neurons), np.int64)
    maps = before.reshape(found.shape)[:, :, : height * side, : width * side]
    windows = maps.reshape(-1, channels, height, side, width, side).transpose(0, 1, 2, 4, 3, 5)
    winner = windows.reshape(*windows.shape[:4], -1).argmax(-1)
    sample, channel, row, column = np.ogrid[tuple(map(slice, winner.shape))]
    found[sample, channel, row * side + winner // side, column * side + winner % side] = grad.reshape(winner.shape)
    return found.reshape(before.shape)


def _flat(x: Codes) -> Codes:
    """(T, B, N) to (T B, N)."""
    return x.reshape(-1, x.shape[-1])


def _weight_gradient(layer: SpikingLayer, x: Codes, errors: Whole, held: Held) -> Whole:
    """dw, of the shape of the weights; of a convolution step after step."""
    if layer.kind != CONV:
        return held.products("weight_gradient", _flat(x).T, _flat(errors))
    channels, total = layer.neurons[0], np.zeros((len(layer.weight.codes), layer.weight.codes[0].size), np.int64)
    for maps, error in zip(x, errors, strict=True):
        rows = rows_of(error, channels)
        busy = np.flatnonzero(rows.any(1))
        seen = patches_of(layer, maps, layer.inputs)
        total += held.products("weight_gradient", rows[busy].T, seen[busy])
    return held.check("weight_gradient", total).reshape(layer.weight.codes.shape)


def _input_gradient(layer: SpikingLayer, errors: Whole, held: Held) -> Whole:
    """g_x (T, B, I)."""
    if layer.kind != CONV:
        found = held.products("input_gradient", _flat(errors), layer.weight.codes.T)
        return found.reshape(*errors.shape[:2], -1)
    return np.array([_maps_gradient(layer, error, held) for error in errors])


def _maps_gradient(layer: SpikingLayer, errors: Whole, held: Held) -> Whole:
    """Of a step, (B, N) to (B, I): what each place of a kernel gives back."""
    (channels, height, width), side, stride, padding = (
        layer.inputs,
        layer.weight.codes.shape[2],
        layer.stride,
        layer.padding,
    )
    spread = held.products("input_gradient", rows_of(errors, layer.neurons[0]), _kernels(layer))
    rows, columns = layer.neurons[1:]
    spread = spread.reshape(len(errors), rows, columns, channels, side, side)
    found = np.zeros((len(errors), channels, height + 2 * padding, width + 2 * padding), np.int64)
    for down, right in np.ndindex(side, side):
        places = (slice(start, start + stride * n, stride) for start, n in ((down, rows), (right, columns)))
        found[(slice(None), slice(None), *places)] += spread[:, :, :, :, down, right].transpose(0, 3, 1, 2)
    inside = found[:, :, padding : padding + height, padding : padding + width]
    return held.check("input_gradient", inside).reshape(len(errors), size(layer.inputs))


def _kernels(layer: SpikingLayer) -> Whole:
    """(O, C k k)."""
    return layer.weight.codes.reshape(len(layer.weight.codes), -1)
