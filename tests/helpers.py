"""What several test files use: golden passes, small runs, and the commands as a user types them."""

import importlib
import io
import logging
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qsnn.config.building.run import build_run, to_config
from qsnn.config.command_line import compose_config
from qsnn.config.scoring import scores_of
from qsnn.config.search_path import note_search_path
from qsnn.dynamics import LIFParameters
from qsnn.kernels.backend import Backend
from qsnn.kernels.dense_layers import compose_gradients
from qsnn.kernels.eager import quantize_weights
from qsnn.layers import SpikingLinear
from qsnn.models import SpikingNet
from qsnn.training.run import Ending, Epoch, Run

PATTERN_FILES = ["small_float", "small_w1s6g8e2", "small_w2s8g8e8", "small_w4s6g8e4", "small_w8s8g8e8", "full_w2s8g8e8"]
SMALL = ["experiment=quick", "trainer.epochs=6", "trainer.checkpoint_every=2", "logging.progress=false"]


class Quiet:
    """A reporter that tells nothing and asks for nothing."""

    def __enter__(self) -> "Quiet":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def flush(self) -> None:
        pass

    def wants_health(self, epoch: int) -> bool:
        return False

    def wants_figures(self, epoch: int) -> bool:
        return False

    def after_batch(self, headline: str) -> None:
        pass

    def after_epoch(self, run: Run, lesson: Any, epoch: Epoch) -> None:
        pass

    def finish(self, run: Run, ending: Ending) -> None:
        pass


QUIET = Quiet()


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


def originals_binary(backend: Backend) -> Backend:
    """For one-bit weights: the original quantized a weight of exactly 0 to 0, a third value that one bit cannot hold
    (ours is +1). Everything else in its files holds, and is compared with its own weights."""

    def without_third_value(weight: Tensor, weight_bits: int | None, scale: float) -> tuple[Tensor, None, float]:
        return torch.where(weight == 0, 0.0, quantize_weights(weight, weight_bits, scale)), None, 1.0

    replaced = backend._replace(
        input_current=lambda x, *stored: backend.input_current(x, *without_third_value(*stored)),
        input_error=lambda error, w, bits, scale, error_bits=None: backend.input_error(
            error, *without_third_value(w, bits, scale), error_bits
        ),
    )
    return replaced._replace(net_gradients=lambda *arguments: compose_gradients(replaced, *arguments))


def golden_net(g: SimpleNamespace, backend: Backend) -> SpikingNet:
    """The net of `golden_pattern`."""
    backend = originals_binary(backend) if g.weight_bits == 1 else backend
    layers = {
        name: SpikingLinear(weight.clone(), float(scale[0]), g.weight_bits, g.lif, backend)
        for name, weight, scale in (("hidden", g.w1, g.scale1), ("output", g.w2, g.scale2))
    }
    return SpikingNet(layers)


def make_run(folder: Path, *overrides: str) -> Run:
    """A small run, built but not started."""
    return build_run(to_config(compose_config([*SMALL, *overrides])), folder)


def scores(run: Run, best: dict[str, Any] | None) -> dict[str, Any]:
    """What `qsnn.evaluate` says of a run's weights and of those in the checkpoint ``best``."""
    return scores_of(run, best)


def command(module: str, *arguments: str, folder: Path, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m qsnn.<module>`` in ``folder`` as a user would."""
    words = [sys.executable, "-m", f"qsnn.{module}", *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=180, **options)  # type: ignore[call-overload]


def in_process(module: str, *arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What `command` gives, without the seconds that a process takes to load torch, Hydra and kernels; for whatever needs no
    process of its own, such as signals and limits do."""
    out, error, code = io.StringIO(), io.StringIO(), 0
    root, words, place = logging.getLogger(), sys.argv, os.getcwd()
    handlers, level = list(root.handlers), root.level
    with redirect_stdout(out), redirect_stderr(error):
        try:
            os.chdir(folder)
            sys.argv = [module, *arguments]
            importlib.import_module(f"qsnn.{module}").main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.argv = words
            os.chdir(place)
            root.handlers[:], root.level = handlers, level  # a run sets up its own
            note_search_path([])
    return subprocess.CompletedProcess([module, *arguments], code, out.getvalue(), error.getvalue())
