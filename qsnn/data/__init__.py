"""Data: from files and generators to spike tensors, time first. Knows nothing of nets and of configuration.

`load_pattern` gives the pattern task. Files from outside are never trusted: whatever is wrong with one ends in a
DataError of one line that names the file, and nothing inside a file is run.
"""

from qsnn.data.files import read_array, read_picture
from qsnn.data.pattern import Pattern, load_pattern
from qsnn.data.poisson import generate_poisson_input
from qsnn.data.targets import built_in_targets, draw_target, keep_pixels

__all__ = [
    "Pattern",
    "built_in_targets",
    "draw_target",
    "generate_poisson_input",
    "keep_pixels",
    "load_pattern",
    "read_array",
    "read_picture",
]
