"""A model as a graph of the Neuromorphic Intermediate Representation (the extra ``nir``).

    nodes.py       layers as nodes, with what NIR cannot say in their metadata
    refusals.py    nets of which it is not possible
    write.py       the folder: the graph, golden vectors, a program that reads the graph with norse and checks them
    selftest.py    that program, as it is written

NIR has neurons in continuous time with real-valued states. Exactly expressed: weights, leaks (a decay d a step is a time
constant dt / (1 - d)), the delays of a step that a layer has. In metadata: widths and grids of states, rounding, the reset
by subtraction.
"""

from qsnn.deploy.nir_graph.write import MARK, check_nir, files_of, write_nir

__all__ = ["MARK", "check_nir", "files_of", "write_nir"]
