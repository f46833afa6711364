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


def _give_back(memory: np.ndarray) -> None:
    blocks = _free.pop(memory.size, [])
    _free[memory.size] = [*blocks, memory]  # at the end: the sizes are in the order of their last use
    while len(_free) > MOST_SIZES:
        _free.pop(next(iter(_free)), None)


def block(size: int) -> np.ndarray:
    """Memory for ``size`` float32 numbers with any content, in use as long as this array, a view or a tensor of it is."""
    if size < SMALLEST:
        return np.empty(size, np.float32)
    try:
        memory = _free[size].pop()
    except (KeyError, IndexError):
        memory = np.empty(size, np.float32)
    # Not a view, whose views would hold the memory alone: all arrays and tensors made of this hold it until the last is gone.
    holder = np.frombuffer(memory.data, np.float32)
    weakref.finalize(holder, _give_back, memory).atexit = False
    return holder


def empty(*shape: int) -> Tensor:
    """`torch.empty`: a float32 tensor with any content."""
    return torch.from_numpy(block(math.prod(shape))).view(shape)
