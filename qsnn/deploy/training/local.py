"""A time step of learning of a layer that learns locally, in codes. Sources: [DECOLLE], [ICONS]; `qsnn.dynamics.integer_local`.

With c the readout's code, m the dropout's 0 or 1, y one-hot, u the membrane, a = 2^(readout_bits - 1), and E of `codes`:

    d   = m ((c + a) m - 2 a y)          e_r = E(d)           e = E(e_r F)
    g   = (2^8 e + L1) D[u] + L2         at the winner of each pooling window, of equals the first; L2 elsewhere;  e_U = E(g)
    L1  = (2 l1 + n) div 2 n, n = count of e;    L2 = -((2 l2 + n) div 2 n), n = count of u, while 80 sum u < n 2^(ub-1), else 0
    dw  = sum e_U p,  db = sum e_U       over samples and places
"""

from typing import NamedTuple

import numpy as np

from qsnn.deploy.arithmetic import Codes, Whole, highest_code, whole
from qsnn.deploy.local import LocalState
from qsnn.deploy.model import LocalLayer
from qsnn.deploy.training.codes import error_codes, largest, random_numbers
from qsnn.deploy.training.forward import patches, rows_of
from qsnn.deploy.training.held import Held
from qsnn.deploy.training.recipe import DROPOUT_BITS, SLOPE_FRACTION, LocalRule

TENTHS = 80
"""A mean membrane of 0.1 in codes: 80 sum u against 2^(ub-1) for each."""


class Winners(NamedTuple):
    """The largest ``membrane`` codes of pooling windows (B, C, H', W'), and their ``place`` in the window, by rows."""

    membrane: Whole
    place: Whole


def kept_readouts(rule: LocalRule, drawn: int, steps: int, samples: int) -> Whole:
    """The dropout's m, (steps, B, K), from the next numbers of the layer's stream."""
    shape = (steps, samples, len(rule.feedback.codes))
    numbers = random_numbers(rule.key, drawn, steps * samples * shape[2], DROPOUT_BITS)
    return (numbers >= rule.dropout).astype(np.int64).reshape(shape)


def gradients(
    layer: LocalLayer, rule: LocalRule, state: LocalState, target: Whole, kept: Whole, held: Held
) -> dict[str, Whole]:
    """Of weight and bias, from what the layer holds after a step; ``target`` one-hot and ``kept`` (B, K)."""
    errors = membrane_errors(layer, rule, state, target, kept, held)
    rows = rows_of(errors, layer.neurons[0])
    seen = patches(whole(state.p).reshape(len(errors), *layer.inputs), layer.weight.codes.shape[2], 1, layer.padding)
    busy = np.flatnonzero(rows.any(1))
    weight = held.products("weight_gradient", rows[busy].T, seen[busy]).reshape(layer.weight.codes.shape)
    return {"weight": weight, "bias": held.check("bias_gradient", rows.sum(0))}


def membrane_errors(
    layer: LocalLayer, rule: LocalRule, state: LocalState, target: Whole, kept: Whole, held: Held
) -> Whole:
    """e_U (B, N)."""
    assert layer.readout is not None
    unit, bits = 1 << (layer.readout.bits - 1), rule.error_bits
    difference = kept * ((whole(state.readout) + unit) * kept - 2 * unit * target)
    outer = error_codes(held.check("readout_error", difference), bits)
    e = error_codes(held.products("feedback", outer, rule.feedback.codes), bits)
    u, windows = whole(state.membrane), winners(layer, state.membrane)
    total = held.check("membrane_total", TENTHS * u.sum(keepdims=True).ravel())
    low = int(total[0]) < u.size << (layer.membrane.u_bits - 1)
    elsewhere = np.array([-rounded_share(rule.l2, u.size) if low else 0])
    slope = rule.slope[windows.membrane + highest_code(layer.membrane.u_bits)]
    g = ((e << SLOPE_FRACTION) + rounded_share(rule.l1, e.size)).reshape(slope.shape) * slope + elsewhere
    held.check("membrane_error", g)
    gaps = e.size < u.size
    most = max(largest(g), largest(elsewhere) if gaps else 0)
    at_winners, rest = (error_codes(part, bits, most) for part in (g, elsewhere))
    return spread(layer, at_winners, windows.place, int(rest[0]))


def rounded_share(numerator: int, count: int) -> int:
    """``numerator / count``, half up."""
    return (2 * numerator + count) // (2 * count)


def _windows(layer: LocalLayer, maps: Whole) -> Whole:
    """(B, N) to (B, C, H', W', side side)."""
    channels, height, width = layer.outputs
    side = layer.pooling
    cut = maps.reshape(len(maps), *layer.neurons)[:, :, : height * side, : width * side]
    cut = cut.reshape(-1, channels, height, side, width, side).transpose(0, 1, 2, 4, 3, 5)
    return cut.reshape(*cut.shape[:4], side * side)


def winners(layer: LocalLayer, membrane: Codes) -> Winners:
    """Of membranes (B, N)."""
    windows = _windows(layer, whole(membrane))
    return Winners(windows.max(-1), windows.argmax(-1))


def spread(layer: LocalLayer, at_winners: Whole, place: Whole, elsewhere: int) -> Whole:
    """(B, N): codes at the winners, ``elsewhere`` at all other places."""
    found, side = np.full((len(place), *layer.neurons), elsewhere, np.int64), layer.pooling
    sample, channel, row, column = np.ogrid[tuple(map(slice, place.shape))]
    found[sample, channel, row * side + place // side, column * side + place % side] = at_winners
    return found.reshape(len(place), -1)
