"""Memory of large results is used again, but never while somebody holds a part of it."""

from typing import Any

import torch

from qsnn.kernels.numba.runtime import buffers as numba_buffers
from qsnn.kernels.numba.runtime.buffers import MOST_SIZES, SMALLEST, block, empty


def test_buffer_is_used_again_when_its_last_holder_is_gone() -> None:
    first = empty(3, SMALLEST)
    address = first.data_ptr()
    del first
    assert empty(SMALLEST, 3).data_ptr() == address


def test_buffer_is_not_used_again_while_a_view_of_it_is_held() -> None:
    first = empty(3, SMALLEST)
    first.fill_(1.0)
    part = first.unbind()[1]
    del first
    second = empty(3, SMALLEST)
    second.zero_()
    assert part.eq(1.0).all()


def test_block_is_not_used_again_while_a_view_or_a_tensor_of_a_view_is_held() -> None:
    parts: list[Any] = [
        block(SMALLEST)[16:].reshape(-1, 16),
        torch.from_numpy(block(SMALLEST)[1:].reshape(3, -1)).view(-1),
    ]
    for part in parts:
        part[:] = 1
    others = [block(SMALLEST) for _ in range(3)]
    for other in others:
        other[:] = 0
    assert all((part == 1).all() for part in parts)
    address = parts[0].ctypes.data
    del parts, part
    found = [block(SMALLEST) for _ in range(2)]
    assert any(memory.ctypes.data < address <= memory.ctypes.data + 64 for memory in found)


def test_buffer_of_few_elements_is_an_ordinary_tensor() -> None:
    before = dict(numba_buffers._free)
    assert empty(2, 3).shape == (2, 3)
    assert empty(0, 3).shape == (0, 3)
    assert numba_buffers._free == before


def test_buffers_of_many_sizes_are_not_all_kept() -> None:
    for extra in range(2 * MOST_SIZES):
        assert empty(SMALLEST + extra).dtype == torch.float32
    assert len(numba_buffers._free) <= MOST_SIZES
