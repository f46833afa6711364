"""What learning adds for every trained tensor, whichever way the net learns: the stored weights, their gradients, slots of the
update rule, and the random numbers that round.

Of a tensor of n weights, NUMERICS section 7:

    stored weights       n * stored bits   32, but with SGD that keeps them on a grid its width, see `stored_bits`; none of
                                           weights in full precision, which are the stored ones
    gradients            n * G bits        the integer of a rounded gradient is at most sqrt(2) * eta, see `gradient_bits`
    optimizer slots      n * slots * 32    with momentum in integers: of the buffer's largest integer
    random state         2 * 64            key and position of the tensor's stream, where gradients are rounded
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from qsnn.dynamics import UpdateRule
from qsnn.dynamics.weight_updates import SGD
from qsnn.hardware.terms import Term, term
from qsnn.kernels.backend import GradientRounding
from qsnn.quantization.bit_widths import FULL_PRECISION_BITS, BitWidths
from qsnn.quantization.gradients import signed_bits

STREAM_WORDS, WORD_BITS = 2, 64


class Learning(NamedTuple):
    """How a net learns, as far as memory depends on it.

    ``rule``: of the weights; ``constant_lr``: whether its rate stays as it is. ``rounding`` (at the largest eta of the run) and
    ``widths``: by layer. ``num_steps``: T of a training window. ``input_bits``: of an input value in a step.
    ``marks_a_step``: the loss takes a membrane readout's largest value over time, whose step is kept.
    ``drops``: random numbers drop readouts.
    """

    rule: UpdateRule
    constant_lr: bool
    rounding: Mapping[str, GradientRounding]
    widths: Mapping[str, BitWidths]
    num_steps: int
    batch_size: int = 1
    input_bits: int = 1
    marks_a_step: bool = False
    drops: bool = False


class Trained(NamedTuple):
    """A trained tensor: ``name`` such as ``weights``, how many of them, their width, and that of the ``grid`` on which they
    start and are held (None: floats)."""

    name: str
    num: int
    weight_bits: int | None
    grid: int | None


def gradient_bits(rounding: GradientRounding) -> int | None:
    """Signed bits of the integers of a rounded gradient: ``|n| <= eta * sqrt(2)``, rounded up; None: it is not rounded."""
    return None if rounding.gradient_bits is None else signed_bits(_largest_gradient(rounding))


def _largest_gradient(rounding: GradientRounding) -> int:
    return math.isqrt(math.floor(2 * rounding.eta**2)) + 1


def stored_bits(trained: Trained, rounding: GradientRounding, learning: Learning) -> int:
    """The finer of the grids on which they start and on which gradients move them, if SGD keeps them there; else 32.

    It does at learning rate 1, without momentum or with one in integers.
    """
    rule, moved = learning.rule, rounding.gradient_bits
    on_grid = isinstance(rule, SGD) and rule.lr == 1 and learning.constant_lr and (not rule.momentum or rule.step)
    if not on_grid or moved is None or trained.grid is None:
        return FULL_PRECISION_BITS
    return max(moved, trained.grid)


def slot_bits(rounding: GradientRounding, rule: UpdateRule) -> int:
    """Of a momentum buffer on the gradients' grid: ``|b| <= G / (1 - momentum)``; else 32."""
    if not (isinstance(rule, SGD) and rule.step):
        return FULL_PRECISION_BITS
    return signed_bits(int(_largest_gradient(rounding) / (1 - rule.momentum)))


def learned(layer: str, trained: Trained, learning: Learning) -> Iterator[Term]:
    """The terms of a tensor of ``layer``."""
    rounding, rule, name = learning.rounding[layer], learning.rule, trained.name
    if trained.weight_bits is not None:
        width = ("stored_bits", stored_bits(trained, rounding, learning))
        yield term(f"stored {name}", {name: trained.num}, width)._replace(at_32_bits=0)
    yield term(f"gradients of {name}", {name: trained.num}, ("gradient_code_bits", gradient_bits(rounding)))
    if rule.num_slots:
        sizes = {name: trained.num, "slots": rule.num_slots}
        yield term(f"optimizer slots of {name}", sizes, ("slot_bits", slot_bits(rounding, rule)))
    if rounding.gradient_bits is not None:
        yield random_state(f"random state of {name}")._replace(at_32_bits=0)


def random_state(name: str) -> Term:
    """Key and position of a stream (`qsnn.quantization.random_stream`)."""
    return term(name, {"words": STREAM_WORDS}, ("word_bits", WORD_BITS), full=WORD_BITS)
