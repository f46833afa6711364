"""The gradient at a net's output spikes (T, B, K), integers, of the losses that have one. Source: NUMERICS sections 5 and 6.

van_rossum     u[t] = trunc(d u[t-1]) + 2^F (s[t] - y[t]);   g[t] = trunc(d g[t+1]) + u[t]
spike_count    g[t] = c - c*,  c the counts of output spikes, in every step
cross_entropy  E = table[max c - c], S = sum E;  g[t] = floor((2 2^f E + S) / 2 S) - 2^f [label], in every step
"""

import numpy as np

from qsnn.deploy.arithmetic import Codes, Whole
from qsnn.deploy.training.codes import toward_zero
from qsnn.deploy.training.held import Held
from qsnn.deploy.training.recipe import Loss, Softmax, SpikeCount, VanRossum


def output_gradient(loss: Loss, spikes: Codes, target: Codes, held: Held) -> Whole:
    """``target``: a raster (T, B, K) for the van Rossum distance, else labels (B)."""
    if isinstance(loss, VanRossum):
        arriving = (spikes.astype(np.int64) - target) << loss.filter_bits
        return _filtered(loss, _filtered(loss, arriving, held)[::-1], held)[::-1]
    counts = spikes.sum(0, dtype=np.int64)
    label = (np.arange(counts.shape[1]) == target[:, None]).astype(np.int64)
    if isinstance(loss, SpikeCount):
        found = counts - (loss.false + (loss.true - loss.false) * label)
    else:
        assert isinstance(loss, Softmax)
        found = _shares(loss, counts, held) - (label << loss.bits)
    return np.broadcast_to(found, spikes.shape)


def _filtered(loss: VanRossum, x: Whole, held: Held) -> Whole:
    out, trace = np.empty_like(x), np.zeros_like(x[0])
    for t, arriving in enumerate(x):
        trace = toward_zero(held.check("filter", trace * loss.multiplier), loss.shift) + arriving
        out[t] = trace
    return out


def _shares(loss: Softmax, counts: Whole, held: Held) -> Whole:
    """2^f softmax (B, K), half up: the only divisions of a training step."""
    entries = loss.table[counts.max(1, keepdims=True) - counts]
    total = entries.sum(1, keepdims=True)
    numerator = held.check("softmax", 2 * loss.table[0] * entries + total)
    return numerator // (2 * total)
