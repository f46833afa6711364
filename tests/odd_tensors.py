"""Tensors of odd sizes, values and layouts, on which every kernel must return the bits of the definition."""

from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.kernels.dispatch import select_backend

NUMBA = select_backend("numba", "cpu")
WIDTHS = st.integers(1, 16)
SEEDS = st.integers(0, 2**31)
SIZES = st.sampled_from([1, 2, 7, 16, 31, 64, 65, 130])
few = settings(max_examples=60, deadline=None)


def strided(tensor: Tensor, generator: torch.Generator) -> Tensor:
    """The same values, in a memory layout of one kind or another."""
    kind = int(torch.randint(4, (), generator=generator))
    if kind == 1:
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    if kind == 2:
        return torch.stack([tensor, tensor + 1], -1)[..., 0]
    return tensor[:1].expand_as(tensor) if kind == 3 else tensor


def values(generator: torch.Generator, *shape: int, sparse: float = 0.5) -> Tensor:
    """Numbers of very different sizes, many of them 0, in some layout."""
    size = 10.0 ** torch.randint(-4, 3, (), generator=generator)
    kept = torch.rand(shape, generator=generator) < sparse
    return strided(torch.randn(shape, generator=generator) * size * kept, generator)


def same(ours: Any, theirs: Any) -> None:
    """Equal to the last bit, NaN where the other has NaN; tensors, numbers, or tuples of them."""
    if isinstance(theirs, tuple):
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
        return
    if not isinstance(theirs, Tensor):
        assert ours == theirs
        return
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
