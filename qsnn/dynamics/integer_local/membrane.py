"""Membrane, spikes and refractory state of a local-learning layer in codes.

Units: an accumulator counts P_max 2^-pb * weight_mult 2^-(wb-1) / scale, a code of U 8 * 2^-(ub-1), so that

    U1 2^-U2 = P_max 2^-pb weight_mult 2^-(wb-1) / scale / (8 * 2^-(ub-1))     B1 2^-B2 = 2^pb / P_max

With gamma = 1 - dt/tau_ref and R_max = 1/(1 - gamma), a code r stands for R_max 2^-rb r at the beginning of a step, and

    R[r] = rint(gamma R_max 2^-rb r / (8 * 2^-(ub-1)) 2^8)     N[s, r] = min(rint(gamma r + s 2^rb / R_max), 2^rb - 1)

in double, gamma rounded to decay_bits.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from qsnn.dynamics.integer_local.fixed_point import Ratio, code_type, half_up, highest_code, point, ratio, signed_code
from qsnn.dynamics.refractory_lif import MembraneStep, RefractoryParameters
from qsnn.quantization.formats import POTENTIAL_FULL_SCALE, Format

FRACTION = 8
"""What the refractory state subtracts has so many bits below a code of U."""


class IntegerMembrane(NamedTuple):
    """``drive`` U1 and U2, ``bias`` B1 and B2; tables ``subtracted`` R, int64 (2^rb), and ``after`` N, int64 (2, 2^rb)."""

    drive: Ratio
    bias: Ratio
    subtracted: Tensor
    after: Tensor
    membrane_bits: int
    refractory_bits: int
    pooling: int


def potential_step(membrane_bits: int) -> float:
    """What a code of U is worth."""
    return POTENTIAL_FULL_SCALE * 2.0 ** -point(membrane_bits)


def dyadic_potential(membrane_bits: int) -> Format:
    """The format of U here, where `qsnn.quantization.potential` has one more half step at each end."""
    highest = highest_code(membrane_bits)
    return Format(POTENTIAL_FULL_SCALE, 2 ** point(membrane_bits), -highest, highest, membrane_bits > 1)


def integer_membrane(
    unit: float, full_scale: float, trace_bits: int, parameters: RefractoryParameters
) -> IntegerMembrane:
    """``unit``: of weight codes, weight_mult 2^-(wb-1) / scale; ``full_scale`` P_max, ``trace_bits`` pb; gamma and R_max as
    floats of ``parameters``. Raises ConfigError for constants of more than 53 bits."""
    p = parameters
    assert p.refractory_bits is not None
    assert p.membrane_bits is not None
    step, levels = potential_step(p.membrane_bits), 2**p.refractory_bits
    codes = torch.arange(levels, dtype=torch.float64)
    largest = 1 / (1 - p.decay)
    subtracted = (p.decay * largest / levels * codes / step * 2**FRACTION).round()
    after = torch.stack([(p.decay * codes + spike * levels / largest).round() for spike in (0, 1)])
    return IntegerMembrane(
        ratio(full_scale * 2.0**-trace_bits * unit / step, at_least=FRACTION), ratio(2.0**trace_bits / full_scale),
        subtracted.to(torch.int64), after.clamp(max=levels - 1).to(torch.int64),
        p.membrane_bits, p.refractory_bits, p.pooling,
    )  # fmt: skip


def bias_term(bias: Tensor, membrane: IntegerMembrane) -> Tensor:
    """Codes of biases (O) on the accumulator's grid, int64: ``(B1 b + half) >> B2``."""
    return half_up(membrane.bias.multiplier * bias.to(torch.int64), membrane.bias.shift)


def raw_membrane(accumulator: Tensor, bias: Tensor, refractory: Tensor, membrane: IntegerMembrane) -> Tensor:
    """U before it is rounded, int64, in 2^-U2 codes."""
    m = membrane
    a = accumulator.to(torch.int64) + bias.view(-1, 1, 1)
    return m.drive.multiplier * a - (m.subtracted[refractory.to(torch.int64)] << (m.drive.shift - FRACTION))


def membrane_step(accumulator: Tensor, bias: Tensor, refractory: Tensor, membrane: IntegerMembrane) -> MembraneStep:
    """From sums of products of codes (B, O, H, W) and `bias_term` (O) to spikes, in codes.

        u = code((U1 a - (R[r] << (U2 - 8)) + half) >> U2)     s = 1 if u >= 0 else 0     r' = N[s, r]

    ``total`` of the step is the sum of the codes u, an int64.
    """
    m, raw = membrane, raw_membrane(accumulator, bias, refractory, membrane)
    # One bit is the sign of the exact number, not of the rounded one, as in `qsnn.quantization.formats`.
    codes = signed_code(raw if m.membrane_bits == 1 else half_up(raw, m.drive.shift), m.membrane_bits)
    spikes = codes >= 0
    after = m.after[spikes.to(torch.int64), refractory.to(torch.int64)].to(refractory.dtype)
    pooled, winner = functional.max_pool2d(codes.double(), m.pooling, return_indices=True)
    kind = code_type(m.membrane_bits)
    return MembraneStep(codes.to(kind), after, pooled.to(kind), winner.to(torch.int32), codes.sum(), spikes.sum())
