"""Independent nets side by side: what each one's kernels are called with is found once, not in every step.

In a step of a small net most of the time goes into that: which formats, which codes, how wide a sum. Of a net that learns
nothing but numbers changes, and they lie where they lay before. The kernels are those of a single net, so that all bits are
the same; several threads share out the nets.
"""

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from qsnn.kernels.backend import LayerPass, NetPass, StackedNet, StackStep, WeightUpdate
from qsnn.kernels.numba.gradients import Prepared, layer_passes, prepare
from qsnn.kernels.numba.nets.dense_layers import GRADIENT
from qsnn.kernels.numba.rounding.scalars import INFINITY
from qsnn.kernels.numba.runtime.arrays import array
from qsnn.kernels.numba.runtime.threads import GRAIN, split
from qsnn.kernels.numba.weights import (
    NO_ROWS,
    PreparedWeights,
    clamp_weights,
    has_kernel,
    prepare_weights,
    prepared_work,
    settings_of,
    told,
    usable,
)


class _Net(NamedTuple):
    """A net with its calls; ``versions``: torch's of the weights, which every change by others than us moves on."""

    call: Prepared
    layers: tuple[LayerPass, ...]
    weights: tuple[PreparedWeights, ...]
    versions: tuple[int, ...]


def _versions(net: StackedNet) -> tuple[int, ...]:
    return tuple(layer.weight._version for layer in net.layers)


def _prepared(net: StackedNet, place: int) -> _Net | None:
    """The net as it is now, for one thread, whose memory ``place`` names; None if its kernels are not made for it."""
    if not has_kernel(net.rule):
        return None
    for layer, slots in zip(net.layers, net.slots, strict=True):
        if layer.weight_bits is None or not usable(layer.weight, *slots):
            return None
        clamp_weights(layer.weight, layer.weight_bits)  # as before every pass in training; an update leaves them so
    call = prepare(net.x, net.target, net.layers, *net.filter, 1, place)
    if call is None:
        return None
    passes = layer_passes(call.outputs, tuple(net.x.shape[:2]))
    # What is kept in mind of these weights stays right: the updates write their codes into the very memory that is.
    weights = tuple(
        prepare_weights(layer.weight, layer.weight_bits, done.gradient, slots, codes)
        for layer, done, slots, codes in zip(net.layers, passes, net.slots, call.codes, strict=True)
    )
    return _Net(call, passes, weights, _versions(net))


class NumbaStack:
    """`qsnn.kernels.backend.NetStack`."""

    def __init__(self, nets: Sequence[StackedNet], prepared: list[_Net | None], places: Sequence[int]) -> None:
        self._nets, self._prepared, self._places = list(nets), prepared, list(places)

    def gradients(self, numbers: Sequence[int]) -> list[NetPass | None]:
        """Passes of these nets, in memory that their next passes use again."""
        for number in numbers:
            known = self._prepared[number]
            if known is None or known.versions != _versions(self._nets[number]):
                self._prepared[number] = _prepared(self._nets[number], self._places[number])
        return self._share_out(self._gradients, numbers)

    def _gradients(self, number: int) -> NetPass | None:
        net = self._prepared[number]
        if net is None or not net.call.run(1) or net.call.sizes.max() >= INFINITY:
            return None
        distance = net.call.result()
        return NetPass(distance, net.layers) if math.isfinite(distance) else None

    def train_weights(self, steps: Sequence[StackStep]) -> list[list[WeightUpdate]]:
        """Updates by the gradients of these nets' last passes."""
        order = {step.number: step for step in steps}
        return self._share_out(lambda number: self._train(order[number]), [step.number for step in steps])

    def _train(self, step: StackStep) -> list[WeightUpdate]:
        net, slots = self._prepared[step.number], self._nets[step.number].slots
        assert net is not None
        assert has_kernel(step.rule)
        settings, updates = settings_of(step.rule, step.step), []
        for prepared, size, slot, stream, rounding in zip(
            net.weights, net.call.sizes[:, GRADIENT, 0].tolist(), slots, step.streams, step.roundings, strict=True
        ):
            rounded = torch.empty(prepared.gradient.shape) if step.keep_rounded else None
            into = NO_ROWS if rounded is None else array(rounded)
            work = prepared_work(prepared, settings, size, stream, rounding, into)
            parts = [work.kernel(0, work.total, *work.arguments)]
            updates.append(told(parts, slot, stream, prepared.weight.size, rounding, rounded))
        return updates

    def _share_out(self, do: Callable[[int], Any], numbers: Sequence[int]) -> list[Any]:
        """``do`` of each net, those of one place in one thread."""
        places = sorted({self._places[number] for number in numbers}, reverse=True)
        if len(places) <= 1:
            return [do(number) for number in numbers]

        def work(start: int, stop: int) -> dict[int, Any]:
            wanted = set(places[start:stop])
            return {number: do(number) for number in numbers if self._places[number] in wanted}

        parts = split(work, len(places), GRAIN * len(places), threads=len(places))
        done = {number: result for part in parts for number, result in part.items()}
        return [done[number] for number in numbers]


def _place(number: int, threads: int, count: int) -> int:
    """Whose memory net ``number`` uses: the caller's, or one of as many others, below 0, as threads share the nets."""
    part = number * threads // count
    return threading.get_ident() if part == 0 else -part


def stack_nets(nets: Sequence[StackedNet]) -> NumbaStack | None:
    """`Backend.stack_nets`: nets for which the kernel of a whole net is made, for one of them at least: another may have
    weights that are not finite, which is its own affair."""
    threads = min(torch.get_num_threads(), len(nets))
    places = [_place(number, threads, len(nets)) for number in range(len(nets))]
    prepared = [_prepared(net, place) for net, place in zip(nets, places, strict=True)]
    return NumbaStack(nets, prepared, places) if any(net is not None for net in prepared) else None
