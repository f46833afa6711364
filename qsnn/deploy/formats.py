"""What a model can be written as: `python -m qsnn.export format=...`. A format is a function and a line of help."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from qsnn.deploy.artefact import write_artefact
from qsnn.deploy.c import check_c, write_c
from qsnn.deploy.folder import SUMS, check_vacant
from qsnn.deploy.model import Model
from qsnn.deploy.nir_graph import check_nir, write_nir
from qsnn.deploy.onnx_step import check_onnx, write_onnx
from qsnn.deploy.verilog import check_mem, write_mem


class ExportFormat(NamedTuple):
    """``summary``: a line for --help; ``write``: a model to ``out``, which it makes at once and never writes over unless told
    to; ``check``: what can be told of ``out`` before any work is done. Both raise ConfigError."""

    summary: str
    write: Callable[[Model, Path, bool], None]
    check: Callable[[Path, bool], None]


def _check_artefact(out: Path, overwrite: bool) -> None:
    check_vacant(out, overwrite, SUMS)


FORMATS: dict[str, ExportFormat] = {
    "artefact": ExportFormat("a folder for qsnn.deploy.IntegerEngine", write_artefact, _check_artefact),
    "c": ExportFormat("C99: header, source, a check of itself, a reader of recordings", write_c, check_c),
    "mem": ExportFormat("memory files for $readmemh, a Verilog layer, a test bench", write_mem, check_mem),
    "nir": ExportFormat("a graph of NIR, what it cannot say in its metadata", write_nir, check_nir),
    "onnx": ExportFormat("a time step as a graph of integer tensors, for onnxruntime", write_onnx, check_onnx),
}
