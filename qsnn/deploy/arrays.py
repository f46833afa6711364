"""What a file of packed codes holds, and the functions that a model's arrays come from and go to."""

from collections.abc import Callable
from typing import NamedTuple

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.model import Shape


class Array(NamedTuple):
    """What is in a file: ``shape``, ``bits`` a code."""

    shape: Shape
    bits: int
    signed: bool


Load = Callable[[str, Array], Whole]
"""From the name of a file and what is in it to its codes, flat."""
Save = Callable[[str, Array, Whole], None]
"""Of an array to its file."""
