"""The SuperSpike surrogate, and what threshold and surrogate are on the codes of a membrane: integers that follow from theta,
slope and widths.

A membrane of b bits has codes c from -high to high, v_thr = quantize(c / 2^(b-1) - theta):

    spike   the first code with v_thr > 0: a membrane spikes at this code or above
    mask    the first code at which mem - theta is in range: with `threshold_mask` errors pass at this code or above
    table   rint(2^f / (slope * |v_thr| + 1)^2) for each c, what a spike's gradient is multiplied by: the SuperSpike surrogate
            with f = ``surrogate_bits`` fraction bits, in place of a division

Both comparisons are those of the float step, which this evaluates for every code; the table is rounded from exact fractions.
The factor 2^f never comes out: the error format divides by a power of two. Products of a gradient (at most 24 bits) and an
entry (f + 1 bits) are taken in double, which holds 53.
"""

import functools
from fractions import Fraction
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from qsnn.quantization import from_codes, in_range, quantize, symmetric, to_codes


class ThresholdCodes(NamedTuple):
    """First codes of a membrane that spike, and that let errors pass; one above the highest code: none does."""

    spike: int
    mask: int


def membrane_codes(membrane_bits: int) -> Tensor:
    """Every code in order, int32; for one bit -1, 0, 1, of which 0 is never taken."""
    high = symmetric(membrane_bits).high
    return torch.arange(-high, high + 1, dtype=torch.int32)


def _distances(threshold: float, membrane_bits: int, full_scale: float) -> Tensor:
    """``mem - theta`` of every code, float32, as a step computes it."""
    return from_codes(membrane_codes(membrane_bits), symmetric(membrane_bits, full_scale)) - threshold


def _first(codes: Tensor, condition: Tensor) -> int:
    return int(codes[condition][0]) if condition.any() else int(codes[-1]) + 1


@functools.cache
def threshold_codes(threshold: float, membrane_bits: int, full_scale: float = 1.0) -> ThresholdCodes:
    """The two constants that theta becomes."""
    codes, fmt, distances = (
        membrane_codes(membrane_bits),
        symmetric(membrane_bits, full_scale),
        _distances(threshold, membrane_bits, full_scale),
    )
    return ThresholdCodes(_first(codes, quantize(distances, fmt) > 0), _first(codes, in_range(distances, fmt)))


@functools.lru_cache(maxsize=64)
def surrogate_table(
    threshold: float, slope: float, membrane_bits: int, surrogate_bits: int, full_scale: float = 1.0
) -> Tensor:
    """Entries for the codes -high .. high of the membrane, float32 integers from 0 to 2^surrogate_bits. Not to be changed."""
    fmt, steep = symmetric(membrane_bits, full_scale), Fraction(slope) * Fraction(full_scale)
    distances = to_codes(quantize(_distances(threshold, membrane_bits, full_scale), fmt), fmt).abs()
    entries = [round(2**surrogate_bits / (steep * Fraction(size, fmt.levels) + 1) ** 2) for size in range(fmt.high + 1)]
    return torch.tensor(entries, dtype=torch.float32)[distances.long()]


def of_codes(table: Tensor, membrane: Tensor, membrane_bits: int, full_scale: float = 1.0) -> Tensor:
    """The entries for membranes on the grid, float64, of their shape; for one beyond its range, that of the range's end."""
    fmt = symmetric(membrane_bits, full_scale)
    places = ((membrane / full_scale * fmt.levels).long() + fmt.high).clamp(0, 2 * fmt.high)
    return table.to(membrane.device, torch.float64)[places]


def surrogate_gradient(distance: Tensor, slope: float) -> Tensor:
    """SuperSpike [Zenke & Ganguli 2018, equation 14]: ``1 / (slope * |v_thr| + 1)^2``, as a divisor of the error."""
    return (slope * distance.abs() + 1).square()


class HasThreshold(Protocol):
    """What the surrogate of a neuron follows from; ``surrogate_bits`` of None: a division."""

    @property
    def threshold(self) -> float: ...  # noqa: D102
    @property
    def surrogate_slope(self) -> float: ...  # noqa: D102
    @property
    def membrane_bits(self) -> int | None: ...  # noqa: D102
    @property
    def surrogate_bits(self) -> int | None: ...  # noqa: D102


def range_of(neuron: object) -> float:
    """Full scale of a neuron's states: 1 of one that knows no other."""
    return float(getattr(neuron, "state_range", 1.0))


def table_of(neuron: HasThreshold) -> tuple[Tensor, int] | None:
    """`surrogate_table` and the bits of the membrane whose codes it is for; None for a division.

    Raises ValueError for a table of membranes in full precision, which have no codes.
    """
    bits = neuron.membrane_bits
    if neuron.surrogate_bits is None:
        return None
    if bits is None:
        raise ValueError("surrogate_bits needs membranes on a grid: membrane_bits is None")
    table = surrogate_table(neuron.threshold, neuron.surrogate_slope, bits, neuron.surrogate_bits, range_of(neuron))
    return table, bits


def surrogate_of(membrane: Tensor, neuron: HasThreshold) -> Tensor:
    """What `through_threshold` divides by, or multiplies with, at membranes of any shape from before the step."""
    table = table_of(neuron)
    if table is not None:
        return of_codes(table[0], membrane, table[1], range_of(neuron))
    distance = quantize(membrane - neuron.threshold, symmetric(neuron.membrane_bits, range_of(neuron)))
    return surrogate_gradient(distance, neuron.surrogate_slope)


def through_threshold(grad_spikes: Tensor, surrogate: Tensor, neuron: HasThreshold) -> Tensor:
    """``g_s / (slope * |v_thr| + 1)^2``; by the table the product, 2^surrogate_bits larger, in double."""
    return grad_spikes / surrogate if neuron.surrogate_bits is None else grad_spikes.double() * surrogate
