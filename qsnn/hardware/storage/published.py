"""What [ISCAS] says of its schemes, and ours beside it.

The paper synthesizes memories and controllers; its abstract tells 1.37x (PB-BMP, 2 bits) and 58 % (functional, backward pass
and update). Its authors' repository, github.com/Intelligent-Microsystems-Lab/QuantizedSNNs, has energies in joules: in
figure_scripts/iscas_figs at commit 2db3e4c ``frontier.csv`` of the 700-400-250 net, forward + backward of both layers, and
``patrick_results 23.56.54.csv`` of a convolution of 1 x 28 x 28 by 32 kernels of 3 x 3; ``iscas_figs/pf_res.csv`` at commit
b8e62c2 is an earlier file of the second kind. That they are those of the paper is our reading.
"""

from collections.abc import Iterator

import numpy as np

from qsnn.hardware.storage.schemes import Access, Rates, accesses, storage_bits
from qsnn.hardware.storage.synapses import Sliding, Synapses, convolution, dense, evenly_sparse

RATIO, SAVED = 1.37, 0.58
CROSSBAR_2, CROSSBAR_5 = 2.0306438524536953e-05, 2.305499313403695e-05
BITMAP_2 = 1.683712824950995e-05
"""Both layers, forward + backward: crossbars of 2 and of 5 bits, PB-BMP of 2 bits, as a plotting script there notes them."""
SPARSITY_2 = (0.35, 0.36)
"""Zero codes of the two layers at 2 bits, as their rows of ``frontier.csv`` are chosen."""
CONV_CSR_8, CONV_FUNCTIONAL_8 = 7.446870876780928e-07, 4.3158992912643843e-07
EARLIER_CSR_8, EARLIER_FUNCTIONAL_8 = 3.0589775903860337e-06, 1.2956397148483333e-06
"""Backward, 8 bits: PB-CSR and "Func-RowCol" of the later file and of the earlier one."""
LEARNING = ("forward", "backward", "update")


def pattern_layers(bits: int, sparsity: tuple[float, float] = SPARSITY_2) -> list[Synapses]:
    """The paper's net, its zeros spread evenly."""
    sizes = (700, 400), (400, 250)
    return [
        evenly_sparse(dense(np.ones(shape, dtype=np.int8), bits), share)
        for shape, share in zip(sizes, sparsity, strict=True)
    ]


def moved(layers: list[Synapses], scheme: str, kinds: tuple[str, ...] = LEARNING) -> Access:
    """Of all layers and kinds, with every row touched."""
    rates = Rates()
    return sum((accesses(layer, scheme, kind, rates) for layer in layers for kind in kinds), Access(0.0, 0.0))


def bitmap_lines(layers: list[Synapses] | None = None) -> Iterator[tuple[str, str]]:
    """PB-BMP at 2 bits against crossbars; ``layers`` of 2 bits: of a run, else of the paper's sparsity."""
    two = [layer._replace(carries_errors=True) for layer in layers or pattern_layers(2)]  # as the paper counts
    yield "paper's abstract", f"{RATIO}x less energy"
    yield "authors' energies, crossbar of 5 bits / PB-BMP of 2", f"{CROSSBAR_5 / BITMAP_2:.3f}x"
    yield "authors' energies, crossbar of 2 bits / PB-BMP of 2", f"{CROSSBAR_2 / BITMAP_2:.3f}x"
    zeros = 1 - sum(layer.num_nonzero for layer in two) / sum(layer.num for layer in two)
    for width in (5, 2):
        wide = [layer._replace(bits=width) for layer in two]
        for scheme in ("pb_bmp", "pb_signs"):
            own, other = moved(two, scheme), moved(wide, "crossbar")
            stored = sum(storage_bits(layer, "crossbar") for layer in wide) / sum(
                storage_bits(layer, scheme) for layer in two
            )
            yield (
                f"ours at {zeros:.1%} zeros, crossbar of {width} bits / {scheme} of 2",
                f"{stored:.3f}x bits stored; forward, backward, update {other.accesses / own.accesses:.3f}x accesses, "
                f"{other.bits / own.bits:.3f}x bits moved",
            )


def functional_lines() -> Iterator[tuple[str, str]]:
    """Functional against stored connectivity at 8 bits, of the convolution above."""
    codes = np.ones((32, 1, 3, 3), dtype=np.int8)
    layer = convolution(codes, 8, Sliding((1, 28, 28), 3))
    yield "paper's abstract", f"{SAVED:.0%} less energy, backward pass and update"
    yield "authors' energies, later file", f"{1 - CONV_FUNCTIONAL_8 / CONV_CSR_8:.1%} less than PB-CSR, backward"
    yield (
        "authors' energies, earlier file",
        f"{1 - EARLIER_FUNCTIONAL_8 / EARLIER_CSR_8:.1%} less than PB-CSR, backward",
    )
    own, stored = storage_bits(layer, "functional"), storage_bits(layer, "pb_csr")
    yield "ours, stored", f"{1 - own / stored:.1%} fewer bits than PB-CSR ({own:,} of {stored:,})"
    for kinds in (("backward",), ("backward", "update")):
        less, more = moved([layer], "functional", kinds), moved([layer], "pb_csr", kinds)
        yield (
            f"ours, {' and '.join(kinds)}",
            f"{1 - less.accesses / more.accesses:.1%} fewer accesses, {1 - less.bits / more.bits:.1%} fewer bits moved",
        )
