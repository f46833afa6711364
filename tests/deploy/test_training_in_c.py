"""Training as files and as C: small nets of every kind learn as the integer trainer has it, compiled with every warning and
checked for undefined steps."""

import re
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
from qsnn.deploy.training.files import read_training, training_files, write_training
from qsnn.deploy.training.from_run import recipe_of
from qsnn.deploy.training.recipe import Extent, Raster, Recipe
from qsnn.dynamics import SGD
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


def compiled_and_run(
    name: str, compiler: str, files: dict[str, bytes], folder: Path
) -> "subprocess.CompletedProcess[str]":
    for file, content in files.items():
        (folder / file).write_bytes(content)
    sources, check = [str(folder / file) for file in (f"{name}_learning.c", "selftest.c")], str(folder / "check")
    subprocess.run([compiler, *FLAGS, *sources, "-o", check], check=True)
    return subprocess.run([check], capture_output=True, text=True, check=False)


def assert_learns(name: str, number: int, learned: tuple[Model, Recipe], folder: Path) -> None:
    files = files_of(*learned)
    done = compiled_and_run(name, CC[number % len(CC)], files, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 mismatches" in done.stdout
    digests = re.findall(r"UINT64_C\((0x[0-9a-f]{16})\)", files["selftest.c"].decode())
    assert len(set(digests)) > len(learned[1].stored)  # it learned
    for word in (b"malloc", b"float", b"double"):
        assert word not in files[f"{name}_learning.c"]


@pytest.mark.skipif(not CC, reason="no C compiler")
@pytest.mark.parametrize(("kind", "number"), [(kind, number) for number, kind in enumerate(CASES)])
def test_c_learns_as_the_integer_trainer(kind: str, number: int, tmp_path: Path) -> None:
    assert_learns(f"net_{kind}", number, learning(kind, signed=kind == "pooled"), tmp_path)


@pytest.mark.skipif(not CC, reason="no C compiler")
@pytest.mark.parametrize(("error_bits", "dropout"), [(6, 0.4), (1, 0.0)])
def test_c_learns_locally_as_the_integer_trainer(error_bits: int, dropout: float, tmp_path: Path) -> None:
    assert_learns("net_local", error_bits, local_learning(error_bits, dropout), tmp_path)


def built(kind: str, folder: Path) -> Path:
    for file, source in files_of(*learning(kind, signed=False)).items():
        (folder / file).write_bytes(source)
    sources = [str(folder / f"net_{kind}_learning.c"), str(folder / "learn.c")]
    subprocess.run([CC[0], *FLAGS, *sources, "-o", str(folder / "learn")], check=True)
    return folder / "learn"


@pytest.mark.skipif(not CC, reason="no C compiler")
def test_c_learning_a_pattern_refuses_numbers_of_updates_and_paths(tmp_path: Path) -> None:
    program = built("strided", tmp_path)
    for words in (["abc"], ["0"], ["-1"], ["1e3"], ["9" * 30], [""], ["1000000001"], []):
        done = subprocess.run([program, *words, tmp_path / "codes"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert "usage:" in done.stderr
    assert not (tmp_path / "codes").exists()
    done = subprocess.run([program, "1", tmp_path / "none" / "codes"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    done = subprocess.run([program, "2", tmp_path / "codes"], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


@pytest.mark.skipif(not CC, reason="no C compiler")
def test_c_learning_from_batches_refuses_what_is_none(tmp_path: Path) -> None:
    program, inputs = built("dense", tmp_path), STEPS * int(np.prod(MAPS))
    whole = b"\1\0" + bytes(inputs)
    for given, told in (
        (b"", "batch 0: the input is empty"), (b"\0", "batch 0: it must have 1 to"), (b"\xff", "it must have 1 to"),
        (whole[:-1], "it is cut off"), (whole + b"\1", "batch 1: it is cut off"), (b"\1\x7f" + whole[2:], "labels must be"),
        (b"\1\xff" + whole[2:], "labels must be classes, 0 to"), (whole[:-1] + b"\2", "inputs must be 0 or 1"),
        (whole[:-1] + b"\xff", "inputs must be 0 or 1"),
    ):  # fmt: skip
        done = subprocess.run([program, tmp_path / "codes"], input=given, capture_output=True, check=False)
        assert done.returncode == 2, told
        assert told in done.stderr.decode()
        assert not (tmp_path / "codes").exists()
    done = subprocess.run([program, tmp_path / "codes"], input=whole, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("kind", [*CASES, "local"])
def test_artefact_says_all_of_a_recipe(kind: str, tmp_path: Path) -> None:
    learned = local_learning(6, 0.4) if kind == "local" else learning(kind, signed=False)
    write_training(*learned, tmp_path / "artefact")
    assert training_files(*read_training(tmp_path / "artefact")) == training_files(*learned)


def test_digest_is_the_sum_of_codes_times_powers() -> None:
    codes = np.random.default_rng(0).integers(-300, 300, CHUNK + 37)
    expected = 0
    for code in codes.tolist():
        expected = (expected * PRIME + code) % 2**64
    assert digest(codes) == expected


def local_learning(error_bits: int, dropout: float) -> tuple[Model, Recipe]:
    bits = BitWidths(
        weight_bits=5, membrane_bits=6, error_bits=error_bits, gradient_bits=9, rng_bits=11, arithmetic=INTEGER,
        synapse_trace_bits=10, membrane_trace_bits=12, refractory_bits=2, readout_weight_bits=6, readout_bits=6, sigmoid_bits=6,
    )  # fmt: skip
    state, learner = local_state(bits, 3e5 if dropout else 0.001, dropout)
    rounding = {name: GradientRounding(4.0, 9, 11, "unbiased") for name in state.model.layers}
    recipe = recipe_of(state, learner, RunSettings(1, 1, rounding, "constant", "constant", 1), Extent(STEPS, 3, 3, 1))
    source = SOURCE._replace(name="net_local")
    return model_of(state.model, Input(MAPS, False, 1000, STEPS), NAMES, learner, source, all_readouts=True), recipe
