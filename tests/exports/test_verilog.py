"""Memory files, and the Verilog layer in iverilog beside the integer engine. Skipped where iverilog is not installed."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from exports.random_models import random_model

from qsnn.deploy.formats import FORMATS
from qsnn.deploy.model import INTEGRATOR, Model
from qsnn.deploy.verilog import files_of
from qsnn.deploy.verilog.memory import codes, vectors, words
from qsnn.errors import ConfigError

needs_iverilog = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is not installed (apt-get install iverilog)"
)
CASES = [(0, "dense"), (1, "recurrent"), (6, "conv"), (3, INTEGRATOR), (7, INTEGRATOR), (5, "recurrent")]


def simulated(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["iverilog", "-g2012", "-o", "testbench", "testbench.v", "lif_layer.v"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    return subprocess.run(["vvp", "testbench"], cwd=folder, capture_output=True, text=True, check=False)


def write(model: Model, out: Path) -> None:
    FORMATS["mem"].write(model, out, False)


@needs_iverilog
@pytest.mark.parametrize(("seed", "kind"), CASES)
def test_verilog_layers_equal_the_engine_in_every_code(tmp_path: Path, seed: int, kind: str) -> None:
    write(random_model(seed, kind), tmp_path / "mem")
    done = simulated(tmp_path / "mem")
    assert done.returncode == 0, done.stdout
    assert "codes compared, 0 mismatches" in done.stdout


@needs_iverilog
def test_verilog_a_changed_weight_is_found(tmp_path: Path) -> None:
    model, out = random_model(1, "recurrent"), tmp_path / "mem"
    write(model, out)
    last = model.layers[-1]
    (out / f"{last.name}_weight.mem").write_text(codes(-last.weight.codes, last.weight.bits))
    done = simulated(out)
    assert done.returncode != 0
    assert f"{last.name}, " in done.stdout
    assert " 0 mismatches" not in done.stdout


def test_verilog_words_are_twos_complement_of_the_width() -> None:
    assert words([-1, 3, 0], 3) == "7\n3\n0\n"
    assert words([-2], 9) == "1fe\n"
    assert codes(np.array([[-1, 1]]), 1) == "0\n1\n"
    assert vectors(np.array([[1, 0, 0, 0, 1], [0, 1, 0, 0, 0]])) == "11\n02\n"


def test_verilog_weights_lie_as_input_and_neuron() -> None:
    model = random_model(0, "dense")
    last = model.layers[-1]
    assert last.weight.bits > 1
    lines = files_of(model)[f"{last.name}_weight.mem"].decode().split()
    found = np.array([int(line, 16) for line in lines]).reshape(last.weight.codes.shape)
    assert np.array_equal(found, last.weight.codes & ((1 << last.weight.bits) - 1))


def test_verilog_a_layer_that_learned_locally_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"format=mem: layer conv.* learned locally, which lif_layer.v does not have"):
        write(random_model(4, "local"), tmp_path / "mem")
    assert not (tmp_path / "mem").exists()
