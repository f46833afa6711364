"""Time constants, surrogate gradient, the LIF and van Rossum recurrences in plain torch: the definitions."""

from qsnn.dynamics.lif import LIFActivity, LIFParameters, LIFState, lif_sequence, lif_sequence_backward
from qsnn.dynamics.time_constants import DECAY_RULES, decay_factor
from qsnn.dynamics.van_rossum import van_rossum_distance, van_rossum_gradient

__all__ = [
    "DECAY_RULES",
    "LIFActivity",
    "LIFParameters",
    "LIFState",
    "decay_factor",
    "lif_sequence",
    "lif_sequence_backward",
    "van_rossum_distance",
    "van_rossum_gradient",
]
