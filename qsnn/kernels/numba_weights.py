"""The numba operations on weights: stochastic rounding, update rules, and all of a training step in one pass."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from qsnn.dynamics import SGD, Adam, Slots, UpdateRule
from qsnn.kernels import numba_updates as kernels
from qsnn.kernels.backend import GradientRounding, StoredWeight, WeightUpdate
from qsnn.kernels.eager import EAGER
from qsnn.kernels.numba_arrays import array
from qsnn.kernels.numba_calls import grid, largest, or_eager
from qsnn.kernels.numba_memory import forget, recall, remember
from qsnn.kernels.numba_products import Codes, padded
from qsnn.kernels.numba_quantizers import error_factors
from qsnn.kernels.numba_threads import Work, split, split_all
from qsnn.quantization import RandomStream, advance
from qsnn.quantization.random_stream import GAMMA

Rounding = tuple[float, float, float, float, float]
NO_ROUNDING: Rounding = (1.0, 1.0, 0.0, 0.0, 0.0)
NO_CODES, NO_ROWS = np.empty((1, 1), np.int8), np.empty((0, 1), np.float32)
SHORTEST_ROW = 16


def _rows(tensor: Tensor) -> np.ndarray:
    """Rows of the last axis; one row where these would be short."""
    flat = array(tensor)
    return flat.reshape(-1, flat.shape[-1] if flat.ndim and flat.shape[-1] >= SHORTEST_ROW else flat.size)


def _rounding(gradient: Tensor, eta: float, gradient_bits: int, rng_bits: int) -> Rounding:
    """What `numba_updates` calls ``rounding``."""
    return (*error_factors(largest(gradient), 1.0), eta, 2.0 ** (rng_bits - 1), 2.0 ** (1 - gradient_bits))


def _draw(stream: RandomStream, rng_bits: int) -> tuple[Any, Any]:
    """What `numba_updates` calls ``draw``."""
    return np.uint64((stream.key + (stream.position + 1) * GAMMA) % 2**64), np.uint64(rng_bits)


def _settings(rule: UpdateRule, step: int) -> tuple[float, ...]:
    """What `numba_updates` calls ``settings``."""
    if isinstance(rule, SGD):
        return (rule.lr, rule.momentum) if rule.momentum else (rule.lr,)
    rate, beta1 = rule.lr / (1 - rule.beta1**step), (rule.beta1, 1 - rule.beta1)
    if isinstance(rule, Adam):
        return (rate, *beta1, rule.beta2, 1 - rule.beta2, 1 / (1 - rule.beta2**step), rule.eps)
    return (rate, *beta1, rule.beta2, rule.eps)


def _usable(*tensors: Tensor) -> bool:
    """Whether the kernels can change these tensors in place."""
    return all(t.dtype == torch.float32 and t.is_contiguous() and t.numel() for t in tensors)


@or_eager("round_gradient")
def round_gradient(
    gradient: Tensor, stream: RandomStream, eta: float, gradient_bits: int, rng_bits: int
) -> tuple[Tensor, RandomStream]:
    """`eager.round_gradient`."""
    out, rows = torch.empty(gradient.shape), _rows(gradient)
    arguments = rows, _rounding(gradient, eta, gradient_bits, rng_bits), _draw(stream, rng_bits), _rows(out)
    split(kernels.round_stochastically, len(rows), 20 * rows.size, *arguments)
    return out, advance(stream, gradient.numel())


def update_weights(rule: UpdateRule, weight: Tensor, gradient: Tensor, slots: Slots, step: int) -> tuple[Tensor, Slots]:
    """The rule's own update, in place."""
    if not _usable(weight, gradient, *slots):
        return EAGER.update_weights(rule, weight, gradient, slots, step)
    tensors, settings = [_rows(tensor) for tensor in (weight, gradient)], _settings(rule, step)
    forget(weight)  # the version counter does not see what numba writes
    split(
        kernels.update_rows[len(settings), NO_CODES.dtype], len(tensors[0]), 10 * weight.numel(), *tensors,
        tuple(_rows(slot) for slot in slots), settings, NO_ROUNDING, _draw(RandomStream(0), 1), grid(None),
        NO_CODES, NO_ROWS,
    )  # fmt: skip
    return weight, slots


def _codes_array(weight: Tensor, weight_bits: int) -> np.ndarray:
    """Memory for the codes of weights (I, N): that of their codes so far, which nobody will need, or fresh."""
    known = recall(weight, f"codes of {weight_bits} bits")
    return (
        known.integers if known else padded(weight.shape[0], weight.shape[1], np.int8 if weight_bits <= 8 else np.int16)
    )


def _work(
    rule: UpdateRule, rounding: GradientRounding, step: int, layer: StoredWeight, rounded: Tensor
) -> tuple[Work, np.ndarray]:
    """All that a training step does to a layer's weights, and the array that gets their codes."""
    settings, rows = _settings(rule, step), array(layer.weight)
    how, codes = NO_ROUNDING, NO_CODES
    if rounding.gradient_bits is not None:
        how = _rounding(layer.gradient, rounding.eta, rounding.gradient_bits, rounding.rng_bits)
    if layer.weight_bits is not None:
        codes = _codes_array(layer.weight, layer.weight_bits)
    arguments = (
        rows, array(layer.gradient), tuple(array(slot) for slot in layer.slots), settings, how,
        _draw(layer.stream, rounding.rng_bits), grid(layer.weight_bits), codes, array(rounded),
    )  # fmt: skip
    return Work(kernels.update_rows[len(settings), codes.dtype], len(rows), 20 * rows.size, arguments), codes


def train_weights(
    rule: UpdateRule, rounding: GradientRounding, step: int, keep_rounded: bool, layers: list[StoredWeight]
) -> list[WeightUpdate]:
    """`eager.train_weights`. The new weights' codes are kept in mind for the next forward pass."""
    if not all(_usable(layer.weight, layer.gradient, *layer.slots) and layer.weight.dim() == 2 for layer in layers):
        return EAGER.train_weights(rule, rounding, step, keep_rounded, layers)
    rounded = [torch.empty(layer.gradient.shape if keep_rounded else (0, 1)) for layer in layers]
    works = [_work(rule, rounding, step, *pair) for pair in zip(layers, rounded, strict=True)]
    found, updates = split_all([work for work, _ in works]), []
    for layer, (_, codes), bad, kept in zip(layers, works, found, rounded, strict=True):
        _keep_codes(layer.weight, layer.weight_bits, None if any(bad) else codes)
        stream = layer.stream if rounding.gradient_bits is None else advance(layer.stream, layer.weight.numel())
        updates.append(WeightUpdate(not any(bad), layer.slots, stream, kept if keep_rounded else None))
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
