"""A time step of a model as an ONNX graph of integer tensors (the extra ``onnx``).

    graph.py      nodes, and rounding, clamping and tables in them
    layers.py     layers and votes as nodes
    write.py      the folder: the graph, golden vectors, a program that checks them
    selftest.py   that program, as it is written

The graph is a function from the input and the state to the output and the next state, int64 inside. Operators of ONNX 17 that
have integers: MatMul, Gather, Add, Mul, Mod, Div, Where, ... A convolution is Gather (of patches) and MatMul: ONNX's own is of
floats, and ConvInteger of 8 bits. No tensor is of floats.
"""

from qsnn.deploy.onnx_step.write import MARK, check_onnx, files_of, write_onnx

__all__ = ["MARK", "check_onnx", "files_of", "write_onnx"]
