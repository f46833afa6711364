"""Softmax of spike counts in integers: a table of exponentials, a sum, and one division a class.

B batch, K classes, T time steps, f = ``softmax_bits``:

    d[b, k] = max_j c[b, j] - c[b, k]                         counts below the largest, 0 .. T
    E[d]    = rint(2^f exp(-temperature d))                   the table, T + 1 entries
    p[b, k] = floor((2^(f+1) E + S) / 2 S),  S = sum_k E      2^f softmax(temperature * c), rounded half up

These divisions, one for each sample and class, are the only ones of a training step.
"""

import functools
from decimal import Decimal

import torch
from torch import Tensor


@functools.lru_cache(maxsize=16)
def softmax_table(temperature: float, num_steps: int, softmax_bits: int) -> Tensor:
    """E for d of 0 .. ``num_steps``, int64, rounded from exponentials of 28 decimal digits. Not to be changed."""
    steps = (Decimal(temperature) * below for below in range(num_steps + 1))
    return torch.tensor([round(2**softmax_bits * (-step).exp()) for step in steps])


def integer_softmax(counts: Tensor, table: Tensor) -> Tensor:
    """p of counts (B, K), int64, by `softmax_table`, whose first entry is 2^f."""
    table = table.to(counts.device)
    entries = table[counts.max(1, keepdim=True).values - counts]
    total = entries.sum(1, keepdim=True)
    return (2 * table[0] * entries + total) // (2 * total)
