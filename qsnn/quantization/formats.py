"""The number formats: which values a tensor of b bits can take, and the integer code of each.

Every format is a uniform grid, ``value = full_scale * code / levels`` with ``low <= code <= high``:

==============  ==========  ============  ==================  =====================================================
format          full_scale  levels        codes               used for
==============  ==========  ============  ==================  =====================================================
symmetric(b)    1           2^(b-1)       +-(2^(b-1) - 1)     weights, membrane, synapse, errors, readout
symmetric(1)    1           1             -1, +1 (sign)       binary weights; 0 maps to +1
unsigned(b)     1           2^b           0 .. 2^b - 1        traces, refractory state, sigmoid output
potential(b)    8           2^(b-1) - 1   +-(2^(b-1) - 1)     membrane potential of the local-learning net
potential(1)    8           1             -1, +1 (sign)       the same; 0 maps to +8, the side that spikes
==============  ==========  ============  ==================  =====================================================

Everywhere a format of ``None`` is full precision: ``quantize`` is the identity and every value is in range.
"""

from functools import cache
from typing import NamedTuple, overload

import torch
from torch import Tensor

POTENTIAL_FULL_SCALE = 8.0


class Format(NamedTuple):
    """A uniform grid of ``high - low + 1`` values (of two, if it has no zero). Build one with `symmetric` and the like."""

    full_scale: float
    levels: int
    low: int
    high: int
    has_zero: bool = True

    @property
    def step(self) -> float:
        """Distance between neighbouring values."""
        return self.full_scale / self.levels

    @property
    def smallest(self) -> float:
        """The lowest value."""
        return self.low * self.full_scale / self.levels

    @property
    def largest(self) -> float:
        """The highest value."""
        return self.high * self.full_scale / self.levels

    @property
    def num_codes(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1 if self.has_zero else 2


@cache
def _signed(bits: int, full_scale: float, levels: int) -> Format:
    if bits == 1:
        return Format(full_scale, 1, -1, 1, has_zero=False)
    largest = 2 ** (bits - 1) - 1
    return Format(full_scale, levels, -largest, largest)


@overload
def symmetric(bits: int, full_scale: float = 1.0) -> Format: ...
@overload
def symmetric(bits: None, full_scale: float = 1.0) -> None: ...
@overload
def symmetric(bits: int | None, full_scale: float = 1.0) -> Format | None: ...
def symmetric(bits: int | None, full_scale: float = 1.0) -> Format | None:
    """Step 2^-(b-1), range +-(1 - 2^-(b-1)); {-1, +1} for one bit; None for None. [WAGE] equation 5.

    ``full_scale``, a power of two, multiplies both: states that need room above the threshold take it from their resolution.
    """
    return None if bits is None else _signed(bits, full_scale, 2 ** (bits - 1))


def unsigned(bits: int | None) -> Format | None:
    """Step 2^-b, range 0 .. 1 - 2^-b; None for None."""
    return None if bits is None else Format(1.0, 2**bits, 0, 2**bits - 1)


def potential(bits: int | None) -> Format | None:
    """Range +-8 in 2^b - 1 values, both ends reached; None for None."""
    return None if bits is None else _signed(bits, POTENTIAL_FULL_SCALE, 2 ** (bits - 1) - 1)


def divide(x: Tensor, number: float) -> Tensor:
    """``x / number``, correctly rounded on every device.

    By a tensor: on a GPU torch multiplies with 1 / number where that is a plain number, and may miss the nearest float.
    """
    return x / x.new_full((), number)


def _codes(x: Tensor, fmt: Format) -> Tensor:
    """The codes of the grid points nearest to ``x``, still in the dtype of ``x``."""
    scaled = x / fmt.full_scale
    if not fmt.has_zero:
        return torch.where(scaled < 0, -1.0, torch.where(scaled >= 0, 1.0, scaled))  # the last arm keeps NaN visible
    return (scaled * fmt.levels).clamp(fmt.low, fmt.high).round()


def quantize(x: Tensor, fmt: Format | None) -> Tensor:
    """Clamp to the range, then round half to even to the grid: ``full_scale * rint(clamp(x)/step) / levels``.

    Any shape; NaN stays NaN. With ``fmt=None`` returns ``x`` itself.
    """
    if fmt is None:
        return x
    return divide(_codes(x, fmt) * fmt.full_scale, fmt.levels)


def in_range(x: Tensor, fmt: Format | None) -> Tensor:
    """The straight-through mask ``clamp(x) == x``, boolean, of the shape of ``x``."""
    if fmt is None:
        return torch.ones_like(x, dtype=torch.bool)
    return (x >= fmt.smallest) & (x <= fmt.largest)


def nearest_codes(x: Tensor, fmt: Format) -> Tensor:
    """Integer codes (int32) of ``quantize(x, fmt)``; 0 for NaN."""
    return _codes(x, fmt).nan_to_num_().to(torch.int32)


def to_codes(x: Tensor, fmt: Format) -> Tensor:
    """Integer codes (int32) of values that lie on the grid of ``fmt``.

    Raises ValueError, naming the first stray value, if one does not: a value that needs more bits is a bug.
    """
    codes = nearest_codes(x, fmt)
    stray = from_codes(codes, fmt, x.dtype) != x
    if stray.any():
        raise ValueError(f"{int(stray.sum())} of {x.numel()} values are not on the grid of {fmt}: first {x[stray][0]}")
    return codes


def from_codes(codes: Tensor, fmt: Format, dtype: torch.dtype = torch.float32) -> Tensor:
    """The values of integer codes: ``full_scale * code / levels``. The inverse of `to_codes`, without loss."""
    return divide(codes.to(dtype) * fmt.full_scale, fmt.levels)
