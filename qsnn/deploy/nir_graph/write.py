"""The folder of a NIR export."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from qsnn.deploy.folder import check_vacant, write_folder
from qsnn.deploy.golden import golden, random_inputs
from qsnn.deploy.model import INTEGRATOR, Model
from qsnn.deploy.nir_graph.refusals import check
from qsnn.errors import ConfigError

MARK, NET, GOLDEN, CHECK = "qsnn_nir.txt", "net.nir", "golden.npz", "selftest.py"
STEPS = 40
HOW = """pip install nir norse && python selftest.py

net.nir is the net for readers of NIR; what NIR cannot say (rounding, widths of states, the reset) is in the metadata of its
nodes.
"""


def files_of(model: Model) -> dict[str, bytes]:
    """Name and content of every file. Raises ConfigError without the package nir, and for what NIR cannot say."""
    check(model)
    try:
        import nir

        from qsnn.deploy.nir_graph.nodes import graph_of
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"format=nir needs the package {error.name}, which is not installed: pip install 'qsnn[nir]'"
        ) from error
    file = io.BytesIO()
    nir.write(file, graph_of(model))
    program = Path(__file__).with_name(CHECK).read_bytes()
    return {NET: file.getvalue(), GOLDEN: _vectors(model), CHECK: program, MARK: HOW.encode()}


def _vectors(model: Model) -> bytes:
    """Inputs, and of every layer spikes or, of a readout, codes of the membrane before the step."""
    found = golden(model, random_inputs(model, STEPS))
    kept: dict[str, Any] = {"input": found.inputs.astype(np.int8)}
    for layer in model.layers:
        kept[layer.name] = found.outputs if layer.kind == INTEGRATOR else found.codes[layer.name, "spikes"]
    content = io.BytesIO()
    np.savez_compressed(content, **kept)
    return content.getvalue()


def write_nir(model: Model, out: Path, overwrite: bool = False) -> None:
    """Make the folder ``out``, at once. Raises ConfigError and OSError."""
    write_folder(files_of(model), out, overwrite, MARK)


def check_nir(out: Path, overwrite: bool) -> None:
    """Raise ConfigError if ``out`` would be written over."""
    check_vacant(out, overwrite, MARK)
