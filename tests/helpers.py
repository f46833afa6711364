"""What several test files use: golden passes, small runs, and the commands as a user types them."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from qsnn.config.builders import build_pattern_run, to_config
from qsnn.config.command_line import compose_config
from qsnn.dynamics import LIFParameters
from qsnn.training.pattern_run import PatternRun

SMALL = ["experiment=quick", "trainer.epochs=6", "trainer.checkpoint_every=2", "logging.progress=false"]


def full_precision(bits: float) -> int | None:
    """The golden files write 34 bits for full precision."""
    return int(bits) if bits < 33 else None


def golden_pattern(path: Path) -> SimpleNamespace:
    """A pattern_*.npz as tensors (T, 1, N), and its parameters."""
    with np.load(path, allow_pickle=False) as file:
        raw = {key: file[key] for key in file.files}
    steps, inputs, hidden, outputs = (int(size) for size in raw["shape"])
    sizes = {"x": inputs, "y": outputs, "spk1": hidden, "spk2": outputs}
    fixed_point = 128.0 if raw["dw1"].dtype == np.int16 else 1.0  # the full-size file stores multiples of 1/128
    values = {}
    for key, array in raw.items():
        if key in sizes:
            raster = np.unpackbits(array)[: steps * sizes[key]].reshape(steps, 1, sizes[key])
            values[key] = torch.from_numpy(raster.astype(np.float32))
        elif key.startswith(("mem", "dcurrent", "current")):
            scale = 1.0 if key.startswith("current") else fixed_point
            values[key] = torch.from_numpy(array.astype(np.float32) / scale)[:, None]
        elif key.startswith("dw"):
            values[key] = torch.from_numpy(array.astype(np.float32) / fixed_point)
        elif key in ("w1", "w2"):
            values[key] = torch.from_numpy(array)
        else:
            values[key] = array
    weight_bits, state_bits, gradient_bits, error_bits = (full_precision(bits) for bits in raw["bits"])
    lif = LIFParameters(
        synapse_decay=float(raw["alpha"]), membrane_decay=float(raw["beta"]), threshold=float(raw["threshold"]),
        surrogate_slope=100.0, synapse_bits=state_bits, membrane_bits=state_bits, error_bits=error_bits,
    )  # fmt: skip
    return SimpleNamespace(**values, lif=lif, weight_bits=weight_bits, gradient_bits=gradient_bits)


def make_run(folder: Path, *overrides: str) -> PatternRun:
    """A small run, built but not started."""
    return build_pattern_run(to_config(compose_config([*SMALL, *overrides])), folder)


def command(module: str, *arguments: str, folder: Path, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m qsnn.<module>`` in ``folder`` as a user would."""
    words = [sys.executable, "-m", f"qsnn.{module}", *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=180, **options)  # type: ignore[call-overload]
