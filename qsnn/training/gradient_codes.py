"""How wide the integers of the rounded gradients are: what a memory for gradients would need, whatever gradient_bits is."""

from qsnn.kernels.backend import GradientRounding
from qsnn.quantization import signed_bits


def gradient_code_bits(largest_codes: dict[str, int], rounding: dict[str, GradientRounding]) -> dict[str, int]:
    """Signed bits of the largest ``|G| * 2^(gradient_bits-1)`` that a run has seen, by layer; nothing in full precision.

    ``largest_codes``: a training state's, exact over all updates so far, resumed ones included. The integers are bounded by
    eta, about ``sqrt(2) * eta``, not by gradient_bits, which is the position of their point.
    """
    rounded = [name for name in largest_codes if rounding[name.split(".")[0]].gradient_bits is not None]
    return {name: signed_bits(largest_codes[name]) for name in rounded}


def code_bits_figures(largest_codes: dict[str, int], rounding: dict[str, GradientRounding]) -> dict[str, int]:
    """The same as figures of an epoch."""
    return {f"gradient_code_bits_{name}": bits for name, bits in gradient_code_bits(largest_codes, rounding).items()}
