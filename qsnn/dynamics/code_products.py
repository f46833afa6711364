"""Convolutions of integer codes: exact sums of products, whatever their order.

B batch, C H W input maps, O output maps, k side of the kernel. A sum of products of codes is an integer; doubles hold it up
to 2^53, which no product of 16-bit codes over a map exceeds.
"""

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight


def convolve_codes(codes: Tensor, weight: Tensor, padding: int) -> Tensor:
    """``sum over c, i, j of codes[b, c, y + i, x + j] * weight[o, c, i, j]``, int64 (B, O, H', W').

    ``codes`` (B, C, H, W) and ``weight`` (O, C, k, k): integers of any dtype.
    """
    return functional.conv2d(codes.double(), weight.double(), padding=padding).to(torch.int64)


def correlate_codes(errors: Tensor, codes: Tensor, size: int, padding: int) -> Tensor:
    """The weight gradient ``sum over b, y, x of errors[b, o, y, x] * codes[b, c, y + i, x + j]``, int64 (O, C, k, k).

    ``errors`` (B, O, H', W') and ``codes`` (B, C, H, W): integers of any dtype; ``size``: k.
    """
    shape = (errors.shape[1], codes.shape[1], size, size)
    return conv2d_weight(codes.double(), shape, errors.double(), padding=padding).to(torch.int64)
