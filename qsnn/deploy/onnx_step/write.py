"""The folder of an ONNX export."""

import io
from pathlib import Path

import numpy as np

from qsnn.deploy.folder import check_vacant, write_folder
from qsnn.deploy.golden import golden, random_inputs, steps_for
from qsnn.deploy.model import RASTER, Model
from qsnn.errors import ConfigError

MARK, STEP, GOLDEN, CHECK = "qsnn_onnx.txt", "step.onnx", "golden.npz", "selftest.py"
HOW = """pip install onnxruntime && python selftest.py

step.onnx is one time step: give the state's outputs (NAME.after) back as its inputs (NAME); all are zeros at rest.
"""


def files_of(model: Model) -> dict[str, bytes]:
    """Name and content of every file. Raises ConfigError without the package onnx."""
    try:
        from qsnn.deploy.onnx_step.step import step_of
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"format=onnx needs the package {error.name}, which is not installed: pip install 'qsnn[onnx]'"
        ) from error
    step = step_of(model).SerializeToString(deterministic=True)
    program = Path(__file__).with_name(CHECK).read_bytes()
    return {STEP: step, GOLDEN: _vectors(model), CHECK: program, MARK: HOW.encode()}


def _vectors(model: Model) -> bytes:
    found = golden(model, random_inputs(model, steps_for(model)))
    arrays = {f"{layer}.{tensor}.after": codes for (layer, tensor), codes in found.codes.items()}
    if model.decision.rule != RASTER:
        arrays["votes.after"] = found.votes
    file = io.BytesIO()
    np.savez_compressed(file, input=found.inputs.astype(np.int8), output=found.outputs, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def write_onnx(model: Model, out: Path, overwrite: bool = False) -> None:
    """Make the folder ``out``, at once. Raises ConfigError and OSError."""
    write_folder(files_of(model), out, overwrite, MARK)


def check_onnx(out: Path, overwrite: bool) -> None:
    """Raise ConfigError if ``out`` would be written over."""
    check_vacant(out, overwrite, MARK)
