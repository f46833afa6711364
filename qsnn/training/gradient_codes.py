"""How wide the integers of the rounded gradients are: what a memory for gradients would need, whatever gradient_bits is."""

from qsnn.kernels.backend import GradientRounding
from qsnn.quantization import signed_bits


def gradient_code_bits(largest_codes: dict[str, int], rounding: GradientRounding) -> dict[str, int]:
    """Signed bits of the largest ``|G| * 2^(gradient_bits-1)`` that a run has seen, by layer; nothing in full precision.

    ``largest_codes``: a training state's, exact over all updates so far, resumed ones included. The integers are bounded by
    eta, about ``sqrt(2) * eta``, not by gradient_bits, which is the position of their point.
    """
    if rounding.gradient_bits is None:
        return {}
    return {name: signed_bits(largest) for name, largest in largest_codes.items()}
