"""`qsnn.verify training=true` and `qsnn.export training=true`: a run repeated from its start, and what a machine needs for
it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import in_process, make_run

from qsnn.deploy import IntegerEngine, IntegerTrainer
from qsnn.deploy.artefact import Contents, with_sums
from qsnn.deploy.model import Source
from qsnn.deploy.training.files import TRAINING, read_training
from qsnn.deploy.training.from_run import learning_of
from qsnn.errors import ConfigError, DataError

SMALL = [
    "experiment=quick", "quantization=iscas_integer", "optimizer=sgd_halving", "optimizer.eta_schedule=halving",
    "trainer.epochs=3", "trainer.checkpoint_every=3", "dataset.num_steps=30", "dataset.num_inputs=20", "dataset.target=smile",
    "kernels=eager", "logging.progress=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three updates."""
    folder = tmp_path_factory.mktemp("runs")
    done = in_process("train", *SMALL, "hydra.run.dir=run", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def artefact(run: Path) -> Path:
    """All that the run's training is."""
    done = in_process("export", f"run={run}", "training=true", folder=run)
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stdout
    return run / "artefact_training"


def test_verify_repeats_all_updates_and_the_checkpoint(run: Path) -> None:
    done = in_process("verify", f"run={run}", "training=true", folder=run)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 epochs, 3 updates" in done.stdout
    assert "last.pt of epoch 3:" in done.stdout
    agreed, of, total = done.stdout.split("\nall ")[1].split()[:3]
    assert of == "of"
    assert agreed == total


def test_artefact_holds_the_net_and_its_training(artefact: Path) -> None:
    model, recipe = read_training(artefact)
    assert IntegerEngine.from_artefact(artefact).model.source == model.source
    trainer = IntegerTrainer(model, recipe)
    assert recipe.pattern is not None
    state, answer = trainer.learn(trainer.initial_state(), *recipe.pattern)
    assert answer.shape == recipe.pattern.target.shape
    assert state.batch == 1
    assert any((state.tensors[name].codes != stored.start).any() for name, stored in recipe.stored.items())


def test_trainer_refuses_what_is_no_batch_of_integers(artefact: Path) -> None:
    model, recipe = read_training(artefact)
    trainer = IntegerTrainer(model, recipe)
    assert recipe.pattern is not None
    x, target = recipe.pattern
    for inputs, wanted, told in (
        (x.astype(np.float32), target, "float32"), (x[:-1], target, "29 steps"), (x + 1, target, "0 to 1"),
        (x[:, :, :-1], target, "inputs are"), (x, target * 1.0, "float64"), (x, target[1:], "targets are"),
        (x, 2 * target, "targets reach"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=told):
            trainer.learn(trainer.initial_state(), inputs, wanted)


def damaged(artefact: Path, out: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The artefact with another training.json, and checksums that are right."""
    files = {path.name: path.read_bytes() for path in artefact.iterdir()}
    content = json.loads(files[TRAINING])
    change(content)
    files[TRAINING] = json.dumps(content).encode()
    out.mkdir()
    for name, part in with_sums(files).items():
        (out / name).write_bytes(part)
    return out


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "version": (lambda c: c.update(version=2), "version 2"),
    "format": (lambda c: c.update(format="other"), "does not say how a net learns"),
    "loss": (lambda c: c.update(loss=None), "loss"),
    "decay": (lambda c: c["loss"].update(multiplier=2 ** c["loss"]["shift"]), "multiplier"),
    "surrogate": (lambda c: c["layers"][0]["surrogate"].pop(), "surrogate"),
    "file": (lambda c: c["tensors"][0]["start"].update(file="../x"), "file"),
    "shape": (lambda c: c["tensors"][0]["start"].update(shape=[1, 1]), "the model makes it"),
    "tensors": (lambda c: c["tensors"].reverse(), "are not those of the model"),
    "key": (lambda c: c["tensors"][0].update(key="g" * 16), "hexadecimal"),
    "halvings": (lambda c: c["update"].update(halvings=[2, 1]), "halvings"),
    "pattern": (lambda c: c.update(pattern=None), "pattern"),
    "accumulators": (lambda c: c["accumulators"]["hidden"].update(update=3), "accumulators"),
    "more": (lambda c: c.update(more=1), "more"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_impossible_training_is_refused_by_name(name: str, artefact: Path, tmp_path: Path) -> None:
    change, told = CHANGES[name]
    with pytest.raises(DataError, match=told):
        read_training(damaged(artefact, tmp_path / "changed", change))


def test_file_that_nothing_refers_to_is_refused(artefact: Path, tmp_path: Path) -> None:
    folder = damaged(artefact, tmp_path / "changed", lambda content: None)
    files = {path.name: path.read_bytes() for path in folder.iterdir()} | {"training-more.bin": b"x"}
    for name, part in with_sums(files).items():
        (folder / name).write_bytes(part)
    assert Contents(folder).json(TRAINING)
    with pytest.raises(DataError, match="nothing refers to"):
        read_training(folder)


def test_run_with_floats_is_refused_with_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"quantization\.arithmetic=float"):
        learning_of(make_run(tmp_path, "kernels=eager"), Source("small", "last", 0, "0"), 0.001)
