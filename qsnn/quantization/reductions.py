"""What of a batch must be known as a whole before anything of it is rounded: maxima and sums, also over several processes.

A maximum decides by which power of two a tensor is divided, and a sum of products of codes is rounded once. Where several
processes have a part of the batch each, both have to be those of all parts; where there is one process, they are its own.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Reductions(NamedTuple):
    """``largest``: from the maxima (M,) of a part, floats of at least 0 or NaN, to those of all parts. ``total``: from the sums
    of a part, float64 or int64 of any shape, to those of all; exact where every sum is an integer that the type holds."""

    largest: Callable[[Tensor], Tensor]
    total: Callable[[Tensor], Tensor]


def _as_it_is(found: Tensor) -> Tensor:
    return found


ALONE = Reductions(_as_it_is, _as_it_is)
"""Of a process that has the whole batch."""


def size_of(x: Tensor) -> Tensor:
    """``max|x|``, a scalar; 0 of a part without samples."""
    return x.abs().max() if x.numel() else torch.zeros((), dtype=x.dtype, device=x.device)
