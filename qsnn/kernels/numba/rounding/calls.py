"""What the numba operations share: formats as the kernels want them, largest sizes, and the way back to plain torch."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.rounding.quantizers import largest_size
from qsnn.kernels.numba.runtime.arrays import array
from qsnn.kernels.numba.runtime.memory import known
from qsnn.kernels.numba.runtime.threads import split
from qsnn.quantization import symmetric
from qsnn.quantization.reductions import ALONE, Reductions

log = logging.getLogger(__name__)
Grid = tuple[float, float, bool]
ANY_RANGE: Grid = (1.0, 2.0**127, False)  # levels and highest code of a format without an end, for masks alone


@functools.cache
def grid(bits: int | None, full_scale: float = 1.0) -> Grid:
    """symmetric(bits) as the kernels want it: levels in 1 (0 for full precision), highest code, whether it has no zero."""
    fmt = symmetric(bits, full_scale)
    return (0.0, 0.0, False) if fmt is None else (fmt.levels / full_scale, float(fmt.high), not fmt.has_zero)


def _short(all_grids: tuple[Grid, ...]) -> tuple[tuple[float, ...], ...]:
    """The formats with levels and highest code alone, if all are such that this says everything."""
    return tuple(entry[:2] for entry in all_grids) if all(g[0] and not g[2] for g in all_grids) else all_grids


@functools.cache
def state_grids(
    synapse_bits: int | None, membrane_bits: int | None, state_range: float = 1.0
) -> tuple[tuple[float, ...], ...]:
    """The formats of synapse and membrane."""
    return _short((grid(synapse_bits, state_range), grid(membrane_bits, state_range)))


@functools.cache
def backward_grids(
    synapse_bits: int | None,
    membrane_bits: int | None,
    error_bits: int | None,
    threshold_mask: bool,
    state_range: float = 1.0,
) -> tuple[tuple[float, ...], ...]:
    """The formats of synapse, membrane and errors, and one in whose range the threshold lets errors pass."""
    formats = _short((grid(synapse_bits, state_range), grid(membrane_bits, state_range), grid(error_bits)))
    return (*formats, formats[1] if threshold_mask else ANY_RANGE[: len(formats[1])])


def or_eager(name: str, *others: torch.dtype) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Hand calls on other than non-empty float32 tensors, or ones of ``others``, to the eager operation ``name``."""
    usable = torch.float32, *others
    definition = getattr(EAGER, name)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def chosen(*arguments: Any, **more: Any) -> Any:
            for a in arguments:
                if isinstance(a, Tensor) and (a.dtype not in usable or not a.numel()):
                    return definition(*arguments, **more)
            return function(*arguments, **more)

        return chosen

    return decorate


def _find_largest(tensor: Tensor) -> int:
    flat = array(tensor).reshape(-1)
    return max(split(largest_size, flat.size, flat.size // 2, flat))


def largest(tensor: Tensor, over: Reductions = ALONE) -> int:
    """The bits of max|x|. Kernels that have it leave it in `memory` under "largest"; ``over``: all parts."""
    own = known(tensor, "largest", _find_largest)
    if over is ALONE:
        return own
    return int(over.largest(size_as_float(own)).view(torch.int32))


def size_as_float(size: int) -> Tensor:
    """The maximum (1,) whose bits `largest` has found."""
    return torch.tensor([size], dtype=torch.int32).view(torch.float32)


def found_already(size: int, over: Reductions) -> Reductions:
    """``over`` for a tensor whose maximum over all parts is known."""
    return over if over is ALONE else over._replace(largest=lambda own: size_as_float(size).to(own.dtype))


@functools.cache
def tell_of_definition(what: str) -> None:
    """Log, once a process, that a neuron or an update rule has no kernel."""
    log.info("%s has no kernel of its own: it runs on its definition in plain torch", what)
