"""The numba operations on weights: stochastic rounding, update rules, and all of a training step in one pass."""

import functools
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import SGD, Adam, Adamax, Slots, UpdateRule
from qsnn.kernels.backend import GradientRounding, RoundedGradient, StoredWeight, WeightUpdate
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba.products.products import Codes, padded
from qsnn.kernels.numba.rounding import updates as kernels
from qsnn.kernels.numba.rounding.calls import grid, largest, or_eager, tell_of_definition
from qsnn.kernels.numba.rounding.quantizers import error_factors
from qsnn.kernels.numba.rounding.scalars import INFINITY
from qsnn.kernels.numba.runtime.arrays import array
from qsnn.kernels.numba.runtime.memory import forget, recall, remember
from qsnn.kernels.numba.runtime.threads import Work, split, split_all
from qsnn.quantization import RandomStream, advance
from qsnn.quantization.random_stream import GAMMA, check_rng_rule

Rounding = tuple[float, float, float, float, float]
NO_ROUNDING: Rounding = (1.0, 1.0, 0.0, 0.0, 0.0)
NO_DRAW = (np.uint64(0), np.uint64(1), np.uint64(1))
NO_CODES, NO_ROWS = np.empty((1, 1), np.int8), np.empty((0, 1), np.float32)
SHORTEST_ROW = 16
WithKernel = SGD | Adam | Adamax


def _rows(tensor: Tensor) -> np.ndarray:
    """Rows of the last axis; one row where these would be short."""
    flat = array(tensor)
    return flat.reshape(-1, flat.shape[-1] if flat.ndim and flat.shape[-1] >= SHORTEST_ROW else flat.size)


def _rounding(gradient: Tensor, rounding: GradientRounding) -> Rounding:
    """What `updates` calls ``rounding``."""
    return NO_ROUNDING if rounding.gradient_bits is None else _rounding_at(largest(gradient), rounding)


def _rounding_at(size: int, rounding: GradientRounding) -> Rounding:
    """The same; ``size``: the bits of max|g|."""
    return NO_ROUNDING if rounding.gradient_bits is None else (*_factors(size), *_steps(rounding))


@functools.lru_cache(maxsize=4096)
def _factors(size: int) -> tuple[float, float]:
    factor, rest = error_factors(size, 1.0)
    return factor, rest


@functools.lru_cache(maxsize=256)
def _steps(rounding: GradientRounding) -> tuple[float, float, float]:
    """eta, steps of the random numbers per one, unit of the result."""
    eta, gradient_bits, rng_bits, rng_rule = rounding
    assert gradient_bits is not None
    return eta, 2.0 ** (rng_bits - _shift(rng_rule)), 2.0 ** (1 - gradient_bits)


def _shift(rng_rule: str) -> int:
    """By how many bits the generator's integers are shifted down. ValueError for an unknown rule."""
    check_rng_rule(rng_rule)
    return 1 if rng_rule == "original" else 0


def _draw(stream: RandomStream, rounding: GradientRounding) -> tuple[Any, Any, Any]:
    """What `updates` calls ``draw``."""
    first = np.uint64((stream.key + (stream.position + 1) * GAMMA) % 2**64)
    return first, *_bits(rounding.rng_bits, rounding.rng_rule)


@functools.cache
def _bits(rng_bits: int, rng_rule: str) -> tuple[Any, Any]:
    return np.uint64(rng_bits), np.uint64(_shift(rng_rule))


def _code(sizes: list[int], gradient_bits: int | None) -> int:
    """`largest_code` from the bits of max|G| in parts of the gradient."""
    return _code_of(max(sizes, default=0), gradient_bits)


@functools.lru_cache(maxsize=4096)
def _code_of(size: int, gradient_bits: int | None) -> int:
    if gradient_bits is None or size >= INFINITY:
        return 0
    return round(float(np.int32(size).view(np.float32)) * 2 ** (gradient_bits - 1))


def settings_of(rule: WithKernel, step: int) -> tuple[float, ...]:
    """What `updates` calls ``settings``."""
    if isinstance(rule, SGD):
        if not rule.momentum:
            return (rule.lr,)
        return (rule.lr, rule.momentum, rule.step) if rule.step else (rule.lr, rule.momentum)
    rate, beta1 = rule.lr / (1 - rule.beta1**step), (rule.beta1, 1 - rule.beta1)
    if isinstance(rule, Adam):
        return (rate, *beta1, rule.beta2, 1 - rule.beta2, 1 / (1 - rule.beta2**step), rule.eps)
    return (rate, *beta1, rule.beta2, rule.eps)


def has_kernel(rule: UpdateRule) -> TypeGuard[WithKernel]:
    """Whether the kernels know the rule; else it is told, once."""
    if isinstance(rule, WithKernel):
        return True
    tell_of_definition(type(rule).__name__)
    return False


def usable(*tensors: Tensor) -> bool:
    """Whether the kernels can change these tensors in place."""
    return all(t.dtype == torch.float32 and t.is_contiguous() and t.numel() for t in tensors)


@or_eager("round_gradient")
def round_gradient(gradient: Tensor, stream: RandomStream, rounding: GradientRounding) -> RoundedGradient:
    """`eager.round_gradient`."""
    out, rows = torch.empty(gradient.shape), _rows(gradient)
    arguments = rows, _rounding(gradient, rounding), _draw(stream, rounding), _rows(out)
    sizes = split(kernels.round_stochastically, len(rows), 20 * rows.size, *arguments)
    return RoundedGradient(out, advance(stream, gradient.numel()), _code(sizes, rounding.gradient_bits))


def update_weights(rule: UpdateRule, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
    """The rule's own update, in place."""
    if not has_kernel(rule) or not usable(weight, gradient, *slots):
        return EAGER.update_weights(rule, weight, gradient, slots, step)
    tensors, settings = [_rows(tensor) for tensor in (weight, gradient)], settings_of(rule, step)
    forget(weight)  # the version counter does not see what numba writes
    split(
        kernels.update_rows[len(settings), NO_CODES.dtype], len(tensors[0]), 10 * weight.numel(), *tensors,
        tuple(_rows(slot) for slot in slots), settings, NO_ROUNDING, NO_DRAW, grid(None),
        NO_CODES, NO_ROWS,
    )  # fmt: skip
    return weight, slots


def _codes_array(weight: Tensor, weight_bits: int) -> np.ndarray:
    """Memory for the codes of weights (I, N): that of their codes so far, which nobody will need, or fresh."""
    known = recall(weight, f"codes of {weight_bits} bits")
    return (
        known.integers if known else padded(weight.shape[0], weight.shape[1], np.int8 if weight_bits <= 8 else np.int16)
    )


class PreparedWeights(NamedTuple):
    """The memory that an update of a layer's weights works on, as `updates` wants it."""

    weight: np.ndarray
    gradient: np.ndarray
    slots: tuple[np.ndarray, ...]
    codes: np.ndarray
    weight_bits: int | None

    def work(self, settings: tuple[float, ...], rounding: Rounding, draw: Any, rounded: np.ndarray) -> Work:
        """All that a training step does to them."""
        kernel, rows = kernels.update_rows[len(settings), self.codes.dtype], self.weight
        arguments = (
            rows, self.gradient, self.slots, settings, rounding, draw, grid(self.weight_bits), self.codes, rounded,
        )  # fmt: skip
        return Work(kernel, len(rows), 20 * rows.size, arguments)


def prepared_work(
    prepared: PreparedWeights, settings: tuple[float, ...], size: int, stream: RandomStream, rounding: GradientRounding,
    rounded: np.ndarray,
) -> Work:  # fmt: skip
    """All that a training step does to weights whose gradient has a maximum of these bits."""
    return prepared.work(settings, _rounding_at(size, rounding), _draw(stream, rounding), rounded)


def prepare_weights(
    weight: Tensor, weight_bits: int | None, gradient: Tensor, slots: Slots, codes: np.ndarray
) -> PreparedWeights:
    """The memory of (I, N) weights; ``codes``: the array that gets theirs."""
    return PreparedWeights(array(weight), array(gradient), tuple(array(slot) for slot in slots), codes, weight_bits)


def _work(rule: WithKernel, step: int, layer: StoredWeight, rounded: Tensor) -> tuple[Work, np.ndarray]:
    """All that a training step does to a layer's weights, and the array that gets their codes."""
    codes = NO_CODES if layer.weight_bits is None else _codes_array(layer.weight, layer.weight_bits)
    prepared = prepare_weights(layer.weight, layer.weight_bits, layer.gradient, layer.slots, codes)
    changes = _rounding(layer.gradient, layer.rounding), _draw(layer.stream, layer.rounding), array(rounded)
    return prepared.work(settings_of(rule, step), *changes), prepared.codes


def told(
    parts: list[tuple[bool, int]], slots: Slots, stream: RandomStream, count: int, rounding: GradientRounding,
    rounded: Tensor | None,
) -> WeightUpdate:  # fmt: skip
    """What was done to ``count`` weights, from what the kernel says of its parts."""
    bits = rounding.gradient_bits
    stream = stream if bits is None else advance(stream, count)
    largest_code = _code([size for _, size in parts], bits)
    return WeightUpdate(not any(bad for bad, _ in parts), slots, stream, rounded, largest_code)


def train_weights(rule: UpdateRule, step: int, keep_rounded: bool, layers: list[StoredWeight]) -> list[WeightUpdate]:
    """`eager.train_weights`. The new weights' codes are kept in mind for the next forward pass."""
    all_usable = all(usable(layer.weight, layer.gradient, *layer.slots) and layer.weight.dim() == 2 for layer in layers)
    if not has_kernel(rule) or not all_usable:
        return EAGER.train_weights(rule, step, keep_rounded, layers)
    rounded = [torch.empty(layer.gradient.shape if keep_rounded else (0, 1)) for layer in layers]
    works = [_work(rule, step, *pair) for pair in zip(layers, rounded, strict=True)]
    found, updates = split_all([work for work, _ in works]), []
    for layer, (_, codes), parts, kept in zip(layers, works, found, rounded, strict=True):
        count, kept_one = layer.weight.numel(), kept if keep_rounded else None
        updates.append(told(parts, layer.slots, layer.stream, count, layer.rounding, kept_one))
        _keep_codes(layer.weight, layer.weight_bits, codes if updates[-1].finite else None)
    return updates


def _keep_codes(weight: Tensor, weight_bits: int | None, codes: np.ndarray | None) -> None:
    """Exchange what is known about weights that have changed. What is known is in range, see `clamp_weights`."""
    forget(weight)
    if weight_bits is not None and codes is not None:
        levels, high, _ = grid(weight_bits)
        remember(weight, f"codes of {weight_bits} bits", Codes(codes, 1 / levels, int(high)))
        remember(weight, f"range of {weight_bits} bits", True)


def clamp_weights(weight: Tensor, weight_bits: int | None) -> None:
    """`eager.clamp_weights`, unless the weights are known to be in range."""
    if weight_bits is not None and not recall(weight, f"range of {weight_bits} bits"):
        EAGER.clamp_weights(weight, weight_bits)
