"""A model as C99: `files_of(model)` makes a header, a source, a program that checks them and one that reads recordings.

    text.py        types, literals, arrays, packed weights
    layers.py      what the templates of a layer are filled with        decision.py  votes
    program.py     header and source                                    selftest.py  golden vectors of the integer engine
    write.py       the folder
    templates/     the C itself, by kind of layer

The sums are those of `qsnn.deploy.spiking` and `qsnn.deploy.local`, in the widths of `qsnn.deploy.widths`: int32_t where the
proof gives at most 31 bits, else int64_t. No allocation, no floats, nothing but stdint.h; no negative number is ever shifted.
"""

from qsnn.deploy.c.write import MARK, check_c, files_of, write_c

__all__ = ["MARK", "check_c", "files_of", "write_c"]
