"""Training as C99: `files_of(model, recipe)` makes a header, a source, a program that learns and one that checks itself.

    layers.py, local.py    what the templates of layers are filled with
    program.py             all files        digests.py   what the check compares: sums over codes, modulo 2^64
    templates/             the C itself

The equations are those of `qsnn.deploy.training`; sums lie in int32_t where their proof gives at most 31 bits, else in int64_t.
"""

from qsnn.deploy.training.c.program import MARK, files_of, write_learning

__all__ = ["MARK", "files_of", "write_learning"]
