"""Which readouts a training step drops: an integer threshold on random bits.

The comparison of a 24-bit uniform float with the probability, in float32, is the same: ``k / 2^24 >= p`` where
``k >= ceil(p 2^24)``.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from qsnn.quantization import RandomStream, uniform_codes

DROPOUT_BITS = 24


def dropout_threshold(probability: float) -> int:
    """The smallest of the integers 0 .. 2^24 - 1 that is kept; ``probability`` is taken as a float32."""
    return math.ceil(torch.tensor(probability, dtype=torch.float32).item() * 2**DROPOUT_BITS)


def dropout_mask(
    stream: RandomStream, shape: Sequence[int], probability: float, device: torch.device | str = "cpu"
) -> tuple[Tensor, RandomStream]:
    """0 with ``probability``, else 1, float32, from the stream's next numbers, and the stream after them."""
    numbers, stream = uniform_codes(stream, shape, DROPOUT_BITS, "unbiased", device)
    return (numbers >= dropout_threshold(probability)).to(torch.float32), stream
