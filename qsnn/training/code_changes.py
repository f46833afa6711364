"""Which weights have ever changed their integer code."""

import torch
from torch import Tensor

from qsnn.quantization import nearest_codes, symmetric

Weights = dict[str, tuple[Tensor, int | None]]
Codes = dict[str, Tensor]


def weight_codes(weights: Weights) -> Codes:
    """Integer codes (int16) of weights and their width, by layer; none in full precision."""
    formats = {name: symmetric(bits) for name, (_, bits) in weights.items()}
    return {
        name: nearest_codes(weights[name][0].detach(), fmt).to(torch.int16)
        for name, fmt in formats.items()
        if fmt is not None
    }


def none_changed(codes: Codes) -> Codes:
    """What `share_never_changed` remembers, in the beginning."""
    return {name: torch.zeros_like(code, dtype=torch.bool) for name, code in codes.items()}


def share_never_changed(weights: Weights, initial_codes: Codes, changed: Codes) -> dict[str, float]:
    """Share of weights whose code equalled the initial one at every look, this one included, by layer.

    ``changed``, where a look found another code, is brought up to date in place.
    """
    shares = {}
    for name, codes in weight_codes(weights).items():
        changed[name] |= codes != initial_codes[name]
        shares[name] = 1 - changed[name].float().mean().item()
    return shares
