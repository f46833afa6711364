"""Training as C: small nets of every kind learn as the integer trainer has it, compiled with every warning and checked for
undefined steps."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from learning_nets import BATCH, EAGER, MAPS, MODELS, NAMES, NEURONS, SOURCE, STEPS, local_state

from qsnn.deploy.from_net.model_of import model_of
from qsnn.deploy.model import Input, Model
from qsnn.deploy.training.c import files_of
from qsnn.deploy.training.c.digests import CHUNK, PRIME, digest
from qsnn.deploy.training.from_run import recipe_of
from qsnn.deploy.training.recipe import Extent, Raster, Recipe
from qsnn.dynamics import SGD
from qsnn.errors import ConfigError
from qsnn.kernels.backend import GradientRounding
from qsnn.losses.cross_entropy import IntegerCrossEntropyLoss
from qsnn.losses.spike_count import SpikeCountLoss
from qsnn.losses.van_rossum import VanRossumDistance
from qsnn.quantization.bit_widths import INTEGER, BitWidths
from qsnn.training.bptt import BPTTLearner
from qsnn.training.run import RunSettings
from qsnn.training.state import new_training_state

CC = [name for name in ("gcc", "clang") if shutil.which(name)]
FLAGS = ("-std=c99", "-O0", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover=undefined")
CASES = {
    "dense": (0, SpikeCountLoss(0.4, 0.1, True), 0.875, {"weight_bits": 2, "gradient_bits": 9, "error_bits": 8}),
    "recurrent": (1, IntegerCrossEntropyLoss(0.5, 7), 0.0, {"weight_bits": 5, "gradient_bits": 3, "error_bits": 10}),
    "pooled": (2, SpikeCountLoss(0.4, 0.1, True), 0.5, {"weight_bits": 8, "gradient_bits": 8, "error_bits": 6}),
    "strided": (3, VanRossumDistance(0.75, 5e-3, EAGER, 6), 0.0, {"weight_bits": 1, "gradient_bits": 6, "error_bits": 1}),
}  # fmt: skip


def learning(kind: str, signed: bool) -> tuple[Model, Recipe]:
    neuron, loss, momentum, widths = CASES[kind]
    bits = BitWidths(**widths, state_bits=8, rng_bits=11, surrogate_bits=13, arithmetic=INTEGER)
    net = MODELS[kind].build_spiking(MAPS, len(NAMES), NEURONS[neuron], bits, None, 5, EAGER)
    state = new_training_state(net, SGD(1.0, momentum, 2.0 ** (1 - widths["gradient_bits"])), 5)
    rounding = {name: GradientRounding(16.0, widths["gradient_bits"], 11, "unbiased") for name in net.layers}
    run, raster = RunSettings(1, 1, rounding, "constant", "halving", 2, by_update=True), kind == "strided"
    learner, samples = BPTTLearner(loss, "eager"), 1 if raster else BATCH
    recipe = recipe_of(state, learner, run, Extent(STEPS, samples, 3, 1))
    source = SOURCE._replace(name=f"net_{kind}")
    model = model_of(net, Input(MAPS, signed, 1000, STEPS), () if raster else NAMES, learner, source)
    if raster:
        rng = np.random.default_rng(0)
        x, target = ((rng.random((STEPS, 1, size)) < 0.4).astype(np.int64) for size in (int(np.prod(MAPS)), len(NAMES)))
        recipe = recipe._replace(pattern=Raster(x, target))
    return model, recipe


@pytest.mark.skipif(not CC, reason="no C compiler")
@pytest.mark.parametrize(("kind", "number"), [(kind, number) for number, kind in enumerate(CASES)])
def test_c_learns_as_the_integer_trainer(kind: str, number: int, tmp_path: Path) -> None:
    model, recipe = learning(kind, signed=kind == "pooled")
    files = files_of(model, recipe)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    source = str(tmp_path / f"net_{kind}_learning.c")
    check = str(tmp_path / "selftest.c")
    subprocess.run([CC[number % len(CC)], *FLAGS, source, check, "-o", str(tmp_path / "check")], check=True)
    done = subprocess.run([tmp_path / "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 mismatches" in done.stdout
    assert b"malloc" not in files[f"net_{kind}_learning.c"]
    assert b"float" not in files[f"net_{kind}_learning.c"]
    assert b"double" not in files[f"net_{kind}_learning.c"]


def test_digest_is_the_sum_of_codes_times_powers() -> None:
    codes = np.random.default_rng(0).integers(-300, 300, CHUNK + 37)
    expected = 0
    for code in codes.tolist():
        expected = (expected * PRIME + code) % 2**64
    assert digest(codes) == expected


def test_local_learning_in_c_is_refused_by_name() -> None:
    widths = dict.fromkeys(("weight_bits", "membrane_bits", "error_bits", "gradient_bits", "rng_bits"), 6)
    bits = BitWidths(
        **widths, arithmetic=INTEGER, synapse_trace_bits=8, membrane_trace_bits=8, refractory_bits=2, readout_weight_bits=4,
        readout_bits=6, sigmoid_bits=6,
    )  # fmt: skip
    state, learner = local_state(bits, 0.001, 0.5)
    rounding = {name: GradientRounding(2.0, 6, 6, "unbiased") for name in state.model.layers}
    recipe = recipe_of(state, learner, RunSettings(1, 1, rounding, "constant", "constant", 1), Extent(STEPS, 3, 1, 1))
    model = model_of(state.model, Input(MAPS, False, 1000, STEPS), NAMES, learner, SOURCE, all_readouts=True)
    with pytest.raises(ConfigError, match="trainer=local"):
        files_of(model, recipe)
