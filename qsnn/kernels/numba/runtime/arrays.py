"""Tensors as numpy arrays on the same memory."""

import numpy as np
from torch import Tensor


def array(tensor: Tensor) -> np.ndarray:
    """The contiguous numpy view of a CPU tensor; a copy if it is not contiguous."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    return np.ascontiguousarray(tensor.numpy())


def matrix(tensor: Tensor) -> np.ndarray:
    """`array` with all axes but the first made one: (T, B, N) to (T, B*N)."""
    return array(tensor).reshape(tensor.shape[0], -1)


def bits(tensor: Tensor) -> np.ndarray:
    """The bits of the floats as int32, with all axes but the last made one: (T, B, I) to (T*B, I)."""
    return array(tensor).view(np.int32).reshape(-1, tensor.shape[-1])


def octets(tensor: Tensor) -> np.ndarray:
    """The same of integers of 8 bits, as uint8."""
    return array(tensor).view(np.uint8).reshape(-1, tensor.shape[-1])


def maps(tensor: Tensor) -> np.ndarray:
    """(B, C, H, W) as the array (B, H, W, C); a view where the tensor has the channels-last format."""
    return array(tensor.permute(0, 2, 3, 1))
