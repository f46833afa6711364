"""Local learning as a user types it: train, stop, resume, evaluate, a missing data set."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forking import Forked
from helpers import in_process
from local_data import SMALL_LOCAL, data_folder

from qsnn.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def only_run(folder: Path) -> Path:
    (run,) = (path.parent for path in folder.glob("outputs/*/*/checkpoints"))
    return run


def test_killed_run_is_resumed_to_the_same_bits_and_evaluated(data: Path, tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), "trainer.epochs=6"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert in_process("train", *words, folder=whole).returncode == 0
    process = Forked([sys.executable, "-m", "qsnn.train", *words], cwd=killed, stderr=subprocess.PIPE)
    while (
        not list(killed.glob("outputs/*/*/metrics.jsonl")) or not only_run(killed).joinpath("metrics.jsonl").read_text()
    ):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run = only_run(killed)
    assert json.loads((run / "summary.json").read_text())["status"] == "running"  # nobody was left to say more
    assert in_process("train", f"resume={run}", folder=killed).returncode == 0
    one, other = (load_checkpoint(path / "checkpoints" / "last.pt")["model"] for path in (only_run(whole), run))
    assert all((one[name] == other[name]).all() for name in one)
    metrics = [(path / "metrics.jsonl").read_bytes() for path in (only_run(whole), run)]
    assert metrics[0] == metrics[1]
    evaluated = in_process("evaluate", f"run={run}", folder=killed)
    summary = json.loads((run / "summary.json").read_text())
    assert json.loads(evaluated.stdout)["final"] == summary["final"]
    assert (
        "best weights" in in_process("train", f"resume={run}", folder=killed).stdout + (run / "train.log").read_text()
    )


def test_stopped_run_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), "trainer.epochs=10000"]
    process = Forked(
        [sys.executable, "-m", "qsnn.train", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while (
        not list(tmp_path.glob("outputs/*/*/metrics.jsonl"))
        or not only_run(tmp_path).joinpath("metrics.jsonl").read_text()
    ):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    output = process.communicate()[0]
    assert process.returncode == 0
    assert "go on: python -m qsnn.train resume=" in output
    summary = json.loads((only_run(tmp_path) / "summary.json").read_text())
    assert summary["status"] == "stopped"
    assert summary["best"]["validation_accuracy"] >= 0


@pytest.mark.parametrize(
    ("experiment", "publisher"),
    [("nmnist_small", "N-MNIST page"), ("icons_gesture", "IBM"), ("icons_poker", "dataset.root=")],
)
def test_missing_data_set_is_told_with_where_to_get_it(experiment: str, publisher: str, tmp_path: Path) -> None:
    result = in_process("train", f"experiment={experiment}", "dataset.root=nowhere", folder=tmp_path)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "nowhere" in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert publisher in result.stderr


def test_root_that_is_not_given_is_asked_for(tmp_path: Path) -> None:
    result = in_process("train", "experiment=icons_gesture", folder=tmp_path)
    assert result.returncode == 2
    assert "dataset.root=null is not possible: give the folder where the data set lies" in result.stderr
    assert (
        "if you do not have it yet, download DvsGesture.tar.gz from IBM Research's DVS128 Gesture Dataset page"
        in result.stderr
    )
