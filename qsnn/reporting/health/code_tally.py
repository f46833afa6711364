"""What becomes of a tensor when it is quantized, counted over one look at it or several."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from qsnn.quantization import Format, nearest_codes

LARGEST_TABLE = 2**20


def different(codes: Tensor) -> Tensor:
    """The integers that there are, sorted; found in a table, which is many times faster than sorting."""
    low, high = (int(end) for end in codes.aminmax())
    if high - low < LARGEST_TABLE:
        return torch.bincount((codes - low).flatten()).nonzero().flatten() + low
    return codes.unique()


@dataclass
class CodeTally:
    """``values``: how many there were; ``at_end`` of them reached or passed an end of the range; ``nonzero`` were not zero,
    of which ``lost`` became zero; ``codes``: the different codes that they took."""

    values: int = 0
    at_end: int = 0
    nonzero: int = 0
    lost: int = 0
    codes: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))

    def add(self, raw: Tensor, codes: Tensor, at_the_end: Tensor) -> None:
        """Count a tensor before it is quantized, its codes, and where it is at an end of the range; all of one shape."""
        nonzero = raw != 0
        self.values += raw.numel()
        self.at_end += int(at_the_end.count_nonzero())
        self.nonzero += int(nonzero.count_nonzero())
        self.lost += int((nonzero & (codes == 0)).count_nonzero())
        self.codes = torch.cat((self.codes, different(codes).cpu())).unique()

    def add_quantized(self, raw: Tensor, fmt: Format) -> None:
        """The same for ``quantize(raw, fmt)``. The 0 of a format without negative values counts as no end."""
        at_the_end = raw >= fmt.largest
        if fmt.low < 0:
            at_the_end |= raw <= fmt.smallest
        self.add(raw, nearest_codes(raw, fmt), at_the_end)

    def add_gradient(self, raw: Tensor, rounded: Tensor, bits: int) -> None:
        """The same for a gradient and what stochastic rounding made of it; its codes have no upper end."""
        largest = 1 - 2.0 ** (1 - bits)
        at_the_end = rounded.abs() >= largest if bits > 1 else torch.zeros_like(rounded, dtype=torch.bool)
        self.add(raw, (rounded * 2 ** (bits - 1)).to(torch.int64), at_the_end)

    def figures(self) -> dict[str, float]:
        """saturation: share at an end of the range. underflow: share of the non-zero values that becomes zero. codes_in_use:
        how many different codes there are."""
        return {
            "saturation": self.at_end / max(1, self.values),
            "underflow": self.lost / max(1, self.nonzero),
            "codes_in_use": float(len(self.codes)),
        }
