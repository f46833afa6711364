"""A model as memory files ($readmemh), and a Verilog layer with a test bench that checks itself against the integer engine.

    memory.py      words of codes, of spikes, of constants
    layers.py      a layer's constants, parameters and golden vectors
    write.py       the folder
    templates/     lif_layer.v, our reference, and the test bench

`lif_layer.v` has dense, recurrent and convolutional layers and membrane readouts; each is checked with the inputs that it
has in the whole net. The OR of pooling stands between layers, and is done in the golden vectors. A layer that learned
locally is refused.
"""

from qsnn.deploy.verilog.write import MARK, check_mem, files_of, write_mem

__all__ = ["MARK", "check_mem", "files_of", "write_mem"]
