"""Stopping and going on: signals, kill -9, resume, evaluate."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from forking import Forked
from helpers import SMALL, in_process
from scripts_module import load_script

LONG = [*SMALL, "trainer.epochs=1500", "trainer.checkpoint_every=40", "logging.health_every=300"]
Train = Callable[..., "subprocess.CompletedProcess[str]"]


def start_and_signal(folder: Path, number: signal.Signals, after_epoch: int) -> Forked:
    """Start a long run in ``folder`` and send it a signal once its checkpoint has passed ``after_epoch``."""
    words = [sys.executable, "-m", "qsnn.train", *LONG, f"hydra.run.dir={folder}"]
    process = Forked(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if metrics_reach(folder / "metrics.jsonl", after_epoch):
            process.send_signal(number)
            break
        time.sleep(0.02)
    return process


def metrics_reach(path: Path, epoch: int) -> bool:
    epochs = re.findall(r'"epoch": (\d+)', path.read_text()) if path.exists() else []
    return bool(epochs) and int(epochs[-1]) >= epoch


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert in_process("train", *LONG, f"hydra.run.dir={folder}", folder=folder.parent).returncode == 0
    return folder


def assert_same_run(folder: Path, whole: Path) -> None:
    assert (folder / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    pair = [torch.load(run / "checkpoints" / "last.pt", weights_only=True) for run in (folder, whole)]
    assert load_script("kill_and_resume").differences(*pair) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_saves_exits_cleanly_and_goes_on_to_the_last_bit(
    number: signal.Signals, uninterrupted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run, with=odd' name"
    folder.parent.mkdir(exist_ok=True)
    folder = tmp_path / "run"
    process = start_and_signal(folder, number, 100)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "stopped"
    assert 100 <= summary["epochs"] < 1500
    assert torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["epoch"] == summary["epochs"]
    assert (folder / "raster.png").exists()
    assert "go on: python -m qsnn.train resume=" in output
    resumed = in_process("train", f"resume={folder}", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(folder, uninterrupted)


def test_killed_run_started_again_by_its_own_command_goes_on_to_the_last_bit(
    uninterrupted: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "quantization.weight_bits=2,seed=0 it's odd"
    words = [*LONG, "resume=auto", "hydra.run.dir='" + str(folder).replace("'", r"\'") + "'"]
    process = Forked([sys.executable, "-m", "qsnn.train", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while not metrics_reach(folder / "metrics.jsonl", 90) and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    assert 40 <= saved["epoch"] < 1500
    resumed = in_process("train", *words, folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "after epoch" in resumed.stdout
    assert_same_run(folder, uninterrupted)


def test_stopped_sweep_does_not_start_its_next_run(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "qsnn.train", *SMALL, "trainer.epochs=100000", "-m", "seed=0,1"]
    process = Forked(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = "outputs/multirun/quick/*/*/metrics.jsonl"
    while not any(metrics_reach(path, 1) for path in tmp_path.glob(metrics)) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 128 + signal.SIGINT
    (sweep,) = tmp_path.glob("outputs/multirun/quick/*")
    assert [json.loads((sweep / run / "summary.json").read_text())["status"] for run in sorted(os.listdir(sweep)) if
            (sweep / run).is_dir()] == ["stopped", "queued"]  # fmt: skip
    assert len(list(sweep.glob("*/metrics.jsonl"))) == 1


def test_resume_with_more_epochs_equals_a_run_of_that_length(train: Train, tmp_path: Path) -> None:
    assert train("hydra.run.dir=long", "trainer.epochs=12").returncode == 0
    assert train("hydra.run.dir=short").returncode == 0
    assert in_process("train", "resume=short", "trainer.epochs=12", folder=tmp_path).returncode == 0
    pair = [torch.load(tmp_path / run / "checkpoints" / "last.pt", weights_only=True) for run in ("long", "short")]
    assert load_script("kill_and_resume").differences(*pair) == []


def test_resume_refuses_another_config_other_data_and_what_is_no_run(train: Train, tmp_path: Path) -> None:
    target = (np.random.default_rng(0).random((60, 40)) < 0.3).astype(np.uint8)
    np.save(tmp_path / "target.npy", target)
    assert train("hydra.run.dir=run", "dataset.target=target.npy").returncode == 0
    other = in_process("train", "resume=run", "quantization.weight_bits=4", folder=tmp_path)
    assert other.returncode == 2
    assert "another config: quantization.weight_bits was 2, is 4" in other.stderr
    np.save(tmp_path / "target.npy", 1 - target)
    changed = in_process("train", "resume=run", folder=tmp_path)
    assert changed.returncode == 2
    assert "was trained on other data" in changed.stderr
    (tmp_path / "run" / "checkpoints" / "last.pt").write_bytes(b"broken")
    broken = in_process("train", "resume=run", folder=tmp_path)
    assert broken.returncode == 2
    assert "run/checkpoints/last.pt is damaged or cut short" in broken.stderr
    assert "it has no .hydra/overrides.yaml" in in_process("train", "resume=.", folder=tmp_path).stderr


def test_damaged_last_checkpoint_costs_one_interval(train: Train, tmp_path: Path) -> None:
    assert train("hydra.run.dir=run").returncode == 0
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    checkpoints = tmp_path / "run" / "checkpoints"
    content = bytearray((checkpoints / "last.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (checkpoints / "last.pt").write_bytes(content)
    metrics = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    for module, key in (("train", "resume"), ("evaluate", "run")):
        refused = in_process(module, f"{key}=run", folder=tmp_path)
        assert refused.returncode == 2
        assert refused.stderr == (
            "error: run/checkpoints/last.pt is damaged or cut short: its checksum is not that of its bytes; previous.pt is "
            "whole: resume=run/checkpoints/previous.pt goes on from epoch 4 (run=run/checkpoints/previous.pt evaluates it)\n"
        )
    assert json.loads(in_process("evaluate", "run=run/checkpoints/previous.pt", folder=tmp_path).stdout)["epochs"] == 4
    assert (checkpoints / "last.pt").read_bytes() == content
    resumed = in_process("train", "resume=run/checkpoints/previous.pt", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == metrics
    assert sorted(path.name for path in checkpoints.iterdir()) == ["best.pt", "last.pt", "previous.pt"]
    assert (
        "best.pt is no checkpoint to go on from"
        in in_process("train", "resume=run/checkpoints/best.pt", folder=tmp_path).stderr
    )


def test_damaged_best_checkpoint_is_not_evaluated(train: Train, tmp_path: Path) -> None:
    assert train("hydra.run.dir=run").returncode == 0
    best = tmp_path / "run" / "checkpoints" / "best.pt"
    content = bytearray(best.read_bytes())
    weights = torch.load(best, weights_only=True)["model"]["hidden.linear.weight"].numpy().tobytes()
    place = content.index(weights) + 3
    content[place] ^= 128  # the sign of a weight
    best.write_bytes(content)
    result = in_process("evaluate", "run=run", folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: run/checkpoints/best.pt is damaged or cut short")


def test_evaluate_recomputes_the_scores_of_the_summary(train: Train, tmp_path: Path) -> None:
    assert train("hydra.run.dir=run").returncode == 0
    (tmp_path / "run" / "raster.png").unlink()
    result = in_process("evaluate", "run=run", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    scores, summary = json.loads(result.stdout), json.loads((tmp_path / "run" / "summary.json").read_text())
    assert scores["final"] == summary["final"]
    assert {key: scores["best"][key] for key in summary["best"]} == summary["best"]
    assert (tmp_path / "run" / "raster.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "no run given"), (["run=nowhere"], "nowhere is not a folder"), (["run=."], "is not the folder of a run")],
)
def test_evaluate_explains_what_is_missing(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = in_process("evaluate", *arguments, folder=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_resume_refuses_another_end_of_a_run_with_a_schedule(train: Train, tmp_path: Path) -> None:
    assert train("hydra.run.dir=run", "optimizer.lr_schedule=cosine").returncode == 0
    result = in_process("train", "resume=run", "trainer.epochs=12", folder=tmp_path)
    assert result.returncode == 2
    assert "another config: trainer.epochs was 6, is 12" in result.stderr
