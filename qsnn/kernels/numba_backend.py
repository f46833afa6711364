"""The numba backend: jitted kernels for float32 tensors on the CPU, equal to the plain-torch definitions bit for bit.

What a kernel is not made for (other dtypes, empty tensors) goes to the definition itself.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import SGD, Adam, LIFActivity, LIFParameters, LIFState, Slots, UpdateRule
from qsnn.kernels import numba_products as products
from qsnn.kernels import numba_recurrences as kernels
from qsnn.kernels import numba_updates as updates
from qsnn.kernels.backend import Backend
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba_arrays import array, matrix
from qsnn.kernels.numba_memory import forget, remember
from qsnn.kernels.numba_threads import split
from qsnn.quantization import RandomStream, advance, symmetric
from qsnn.quantization.random_stream import GAMMA

Grid = tuple[float, float, bool]
CHUNK = 2**16
INFINITY_BITS = 0x7F800000


def grid(bits: int | None) -> Grid:
    """symmetric(bits) as the kernels want it: levels (0 for full precision), highest code, whether it has no zero."""
    fmt = symmetric(bits)
    return (0.0, 0.0, False) if fmt is None else (float(fmt.levels), float(fmt.high), not fmt.has_zero)


def _or_eager(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Hand calls on other than non-empty float32 tensors to the eager operation ``name``."""
    definition = getattr(EAGER, name)

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def chosen(*arguments: Any) -> Any:
            usable = all(a.dtype == torch.float32 and a.numel() > 0 for a in arguments if isinstance(a, Tensor))
            return function(*arguments) if usable else definition(*arguments)

        return chosen

    return decorate


def _largest(flat: np.ndarray) -> int:
    """The bits of max|x|."""
    return max(split(kernels.largest_size, flat.size, flat.size // 2, flat))


def _error_factors(flat: np.ndarray, levels: float) -> tuple[float, float]:
    """Two factors that together are ``levels / shift(max|x|)``."""
    return kernels.error_factors(_largest(flat), levels)


def _quantized(x: Tensor, factors: tuple[float, float], bits: int, multiplier: float) -> Tensor:
    """``multiplier * quantize(x * factors / levels)``; its codes are kept in mind for the products to come."""
    fmt, out = grid(bits), torch.empty(x.shape)
    rows = array(x).reshape(-1, x.shape[-1] if x.dim() else 1)
    integers = products.padded(*rows.shape, np.int8 if bits <= 8 else np.int16)
    arguments = (rows, factors, fmt, multiplier, array(out).reshape(rows.shape), integers)
    if all(split(kernels.quantize_scaled, len(rows), 2 * rows.size, *arguments)):
        remember(out, "codes", products.Codes(integers, multiplier / fmt[0], int(fmt[1])))
    return out


@_or_eager("quantize_weights")
def quantize_weights(weight: Tensor, weight_bits: int | None, scale: float) -> Tensor:
    """`eager.quantize_weights`."""
    if weight_bits is None or math.frexp(scale)[0] != 0.5:
        return EAGER.quantize_weights(weight, weight_bits, scale)
    return _quantized(weight, (grid(weight_bits)[0], 1.0), weight_bits, 1 / scale)


@_or_eager("quantize_error")
def quantize_error(error: Tensor, error_bits: int | None) -> Tensor:
    """`qsnn.quantization.quantize_error`."""
    if error_bits is None:
        return error
    return _quantized(error, _error_factors(array(error).reshape(-1), grid(error_bits)[0]), error_bits, 1.0)


@_or_eager("round_gradient")
def round_gradient(
    gradient: Tensor, stream: RandomStream, eta: float, gradient_bits: int, rng_bits: int
) -> tuple[Tensor, RandomStream]:
    """`eager.round_gradient`."""
    flat, out = array(gradient).reshape(-1), torch.empty(gradient.shape)
    first = (stream.key + (stream.position + 1) * GAMMA) % 2**64
    split(
        kernels.round_stochastically, flat.size, 4 * flat.size,
        flat, _error_factors(flat, 1.0), eta, 2.0 ** (rng_bits - 1),
        2.0 ** (1 - gradient_bits), np.uint64(first), np.uint64(rng_bits), array(out).reshape(-1),
    )  # fmt: skip
    return out, advance(stream, flat.size)


def _states(synapse: float | Tensor, membrane: float | Tensor, shape: torch.Size) -> np.ndarray:
    """Two things per neuron, floats or tensors that broadcast to (B, N), as one array (2, B*N)."""
    both = np.empty((2, *shape), np.float32)
    for row, values in zip(both, (synapse, membrane), strict=True):
        row[...] = array(values) if isinstance(values, Tensor) else values
    return both.reshape(2, -1)


@_or_eager("lif_sequence")
def lif_sequence(current: Tensor, state: LIFState, parameters: LIFParameters) -> LIFActivity:
    """`qsnn.dynamics.lif_sequence`."""
    p, shape = parameters, current.shape[1:]
    out = torch.empty(3, *current.shape)
    split(
        kernels.lif_forward, shape.numel(), 3 * current.numel(),
        matrix(current), _states(*state, shape), _states(p.synapse_decay, p.membrane_decay, shape), p.threshold,
        grid(p.synapse_bits), grid(p.membrane_bits), array(out).reshape(3, len(current), -1),
    )  # fmt: skip
    return LIFActivity(*out.unbind())


@_or_eager("lif_sequence_backward")
def lif_sequence_backward(
    grad_spikes: Tensor, current: Tensor, activity: LIFActivity, initial: LIFState, parameters: LIFParameters
) -> Tensor:
    """`qsnn.dynamics.lif_sequence_backward`."""
    p, shape = parameters, current.shape[1:]
    out = torch.empty(current.shape)
    kernels.lif_backward(
        matrix(grad_spikes), matrix(current), *(matrix(tensor) for tensor in activity), _states(*initial, shape),
        _states(p.synapse_decay, p.membrane_decay, shape), p.threshold, p.surrogate_slope,
        (grid(p.synapse_bits), grid(p.membrane_bits), grid(p.error_bits)), matrix(out),
    )  # fmt: skip
    return out


@_or_eager("van_rossum_distance")
def van_rossum_distance(spikes: Tensor, target: Tensor, decay: float, tau: float) -> tuple[Tensor, Tensor]:
    """`qsnn.dynamics.van_rossum_distance`."""
    difference = torch.empty(spikes.shape)
    columns = matrix(difference)
    arguments = (matrix(spikes), matrix(target), decay, columns)
    split(kernels.filtered_difference, columns.shape[1], 3 * columns.size, *arguments)
    # In chunks of a fixed size, so that the sum does not depend on the number of threads.
    squares = np.empty(-(-columns.size // CHUNK))
    split(kernels.sums_of_squares, len(squares), columns.size, columns.reshape(-1), CHUNK, squares)
    return torch.tensor(math.sqrt(squares.sum() / tau)), difference


@_or_eager("van_rossum_gradient")
def van_rossum_gradient(difference: Tensor, distance: Tensor, decay: float, tau: float) -> Tensor:
    """`qsnn.dynamics.van_rossum_gradient`."""
    if distance == 0:
        return torch.zeros_like(difference)
    out = torch.empty(difference.shape)
    columns = matrix(out)
    arguments = (matrix(difference), float(tau * distance), decay, columns)
    split(kernels.filter_back, columns.shape[1], 3 * columns.size, *arguments)
    return out


def update_weights(rule: UpdateRule, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
    """The rule's own update, in place."""
    tensors = (weight, gradient, *slots)
    if not all(t.dtype == torch.float32 and t.is_contiguous() and t.numel() for t in tensors):
        return EAGER.update_weights(rule, weight, gradient, slots, step)
    flat = [array(tensor).reshape(-1) for tensor in tensors]
    kernel: Callable[..., Any]
    settings: tuple[Any, ...]
    if isinstance(rule, SGD):
        kernel, settings = (updates.momentum_sgd, (rule.lr, rule.momentum)) if slots else (updates.sgd, (rule.lr,))
    else:
        rate, beta1 = rule.lr / (1 - rule.beta1**step), (rule.beta1, 1 - rule.beta1)
        if isinstance(rule, Adam):
            beta2 = (rule.beta2, 1 - rule.beta2)
            kernel, settings = updates.adam, (rate, beta1, beta2, 1 / (1 - rule.beta2**step), rule.eps)
        else:
            kernel, settings = updates.adamax, (rate, beta1, rule.beta2, rule.eps)
    forget(weight)  # the version counter does not see what numba writes
    split(kernel, weight.numel(), 3 * weight.numel(), *flat, *settings)
    return weight, slots


@_or_eager("all_finite")
def all_finite(tensor: Tensor) -> bool:
    """`eager.all_finite`: the largest size has an exponent below that of Inf and NaN."""
    return _largest(array(tensor).reshape(-1)) < INFINITY_BITS


NUMBA = Backend(
    name="numba",
    quantize_weights=quantize_weights,
    input_current=_or_eager("input_current")(products.input_current),
    input_error=_or_eager("input_error")(products.input_error),
    weight_gradient=_or_eager("weight_gradient")(products.weight_gradient),
    quantize_error=quantize_error,
    lif_sequence=lif_sequence,
    lif_sequence_backward=lif_sequence_backward,
    van_rossum_distance=van_rossum_distance,
    van_rossum_gradient=van_rossum_gradient,
    round_gradient=round_gradient,
    update_weights=update_weights,
    all_finite=all_finite,
)
