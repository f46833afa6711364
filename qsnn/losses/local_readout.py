"""The loss of local learning as an option; its equation is in `qsnn.dynamics.local_readout`. Source: [DECOLLE], [ICONS]."""

from dataclasses import dataclass
from typing import ClassVar

from qsnn.data.words import CLASSES
from qsnn.options import MAX_FACTOR, Option, key, option

READOUT_ERRORS = "errors at fixed readouts of the layers"


@option("loss", "local_readout")
@dataclass
class LocalReadout(Option):
    """Squared error of each layer's fixed readout, with activity regularisers."""

    gives: ClassVar[frozenset[str]] = frozenset({READOUT_ERRORS})
    needs: ClassVar[frozenset[str]] = frozenset({CLASSES})

    l1: float = key(0.001, "activity regulariser on the sigmoid output", "", "l1", at_least=0, at_most=MAX_FACTOR)
    l2: float = key(
        0.001, "activity regulariser on the mean membrane potential", "", "l2", at_least=0, at_most=MAX_FACTOR
    )
