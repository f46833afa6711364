"""Stored weights: which codes a layer computes with, and how a gradient moves them.

w   = clamp(rint(stored 2^-(point - (weight_bits - 1))))                 what the layer computes with; of one bit the sign
b'  = trunc(momentum 2^-shift b) + G;  stored' = clamp(stored - b' 2^step)    without momentum b' is G
"""

from typing import NamedTuple

import numpy as np

from qsnn.deploy.arithmetic import Codes, Whole, code_type, rounded_code, whole
from qsnn.deploy.training.codes import random_numbers, rounded_gradient, scaled_gradient, toward_zero
from qsnn.deploy.training.held import Held
from qsnn.deploy.training.recipe import Stored, Update


class Moving(NamedTuple):
    """A tensor as it is: ``codes``; ``momentum`` codes b, (0,) where there is none; ``drawn``: numbers that are gone from its
    stream."""

    codes: Codes
    momentum: Codes
    drawn: int = 0


def at_start(stored: Stored, update: Update) -> Moving:
    """Before the first batch, in the type of the codes."""
    none = np.zeros(stored.start.shape if update.momentum else 0, np.int32)
    return Moving(stored.start.astype(code_type(-stored.limit, stored.limit)), none)


def computing(stored: Stored, codes: Codes) -> Whole:
    """w."""
    return rounded_code(whole(codes), stored.point - (stored.weight_bits - 1), stored.weight_bits)


def moved(stored: Stored, now: Moving, gradient: Whole, log_eta: int, update: Update, held: Held) -> Moving:
    """After a gradient, exact sums of the tensor's shape."""
    numbers = random_numbers(stored.key, now.drawn, gradient.size, stored.rng_bits).reshape(gradient.shape)
    scaled = held.check("scaled_gradient", scaled_gradient(gradient, log_eta, stored.rng_bits))
    step = held.check("rounded_gradient", rounded_gradient(gradient, scaled, numbers, stored.rng_bits))
    momentum = now.momentum
    if update.momentum:
        product = held.check("momentum", update.momentum * whole(now.momentum))
        step = toward_zero(product, update.momentum_shift) + step
        momentum = step.astype(np.int32)
    after = held.check("update", whole(now.codes) - (step << stored.step()))
    kept = np.clip(after, -stored.limit, stored.limit).astype(now.codes.dtype)
    return Moving(kept, momentum, now.drawn + gradient.size)
