"""Time constants, the LIF and van Rossum recurrences and the weight updates in plain torch: the definitions."""

from qsnn.dynamics.cuba_lif import LIFParameters, lif_sequence, lif_sequence_backward
from qsnn.dynamics.neuron import LIFActivity, LIFState, NeuronParameters
from qsnn.dynamics.schedules import SCHEDULES, schedule_factor
from qsnn.dynamics.time_constants import DECAY_RULES, decay_factor
from qsnn.dynamics.van_rossum import van_rossum_codes, van_rossum_distance, van_rossum_gradient
from qsnn.dynamics.weight_updates import SGD, Adam, Adamax, Slots, UpdateRule

__all__ = [
    "DECAY_RULES",
    "SCHEDULES",
    "SGD",
    "Adam",
    "Adamax",
    "LIFActivity",
    "LIFParameters",
    "LIFState",
    "NeuronParameters",
    "Slots",
    "UpdateRule",
    "decay_factor",
    "lif_sequence",
    "lif_sequence_backward",
    "schedule_factor",
    "van_rossum_codes",
    "van_rossum_distance",
    "van_rossum_gradient",
]
