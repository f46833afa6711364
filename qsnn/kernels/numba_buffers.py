"""Large results in memory that is used again when nobody holds it any more.

Fresh memory comes from the system page by page, each cleared first: for large batches a third of a training step. Neither
torch nor malloc keep blocks of 32 MB and more.
"""

import math
import weakref

import numpy as np
import torch
from torch import Tensor

SMALLEST = 2**18  # elements; below that malloc is as good
MOST_SIZES = 16  # kept at a time, so that nets of the past do not hold memory for ever

_free: dict[int, list[np.ndarray]] = {}


def _give_back(block: np.ndarray) -> None:
    blocks = _free.pop(block.size, [])
    _free[block.size] = [*blocks, block]  # at the end: the sizes are in the order of their last use
    while len(_free) > MOST_SIZES:
        _free.pop(next(iter(_free)), None)


def empty(*shape: int) -> Tensor:
    """`torch.empty`: a float32 tensor with any content."""
    size = math.prod(shape)
    if size < SMALLEST:
        return torch.empty(shape)
    try:
        block = _free[size].pop()
    except (KeyError, IndexError):
        block = np.empty(size, np.float32)
    # The tensor's storage, which all of its views share, holds this object until the last of them is gone.
    holder = block[:]
    weakref.finalize(holder, _give_back, block).atexit = False
    return torch.from_numpy(holder).view(shape)
