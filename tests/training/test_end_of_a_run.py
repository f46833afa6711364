"""What a run says in its end: the best weights and the last ones, training time and compiling, runs without validation."""

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers import QUIET, SMALL, make_run, scores
from local_data import SMALL_LOCAL, data_folder, make_local_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qsnn.config.command_line import compose_config
from qsnn.config.resume import restore
from qsnn.config.run import start
from qsnn.kernels.compile_time import compiling
from qsnn.training import loop
from qsnn.training.checkpoint import load_checkpoint
from qsnn.training.clock import Clock


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def train(folder: Path, words: list[str], *overrides: str) -> dict[str, Any]:
    """A run in ``folder``, to its end; its summary."""
    start(compose_config([*words, "logging.to=[]", *overrides]), folder, [])
    return json.loads((folder / "summary.json").read_text())


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Ends the next run by SIGTERM when it has done so many epochs or batches."""

    class Stop:
        def __init__(self, pieces: int) -> None:
            self.left = pieces

        def __enter__(self) -> "Stop":
            return self

        def __exit__(self, *exception: object) -> None:
            pass

        @property
        def signal_number(self) -> int:
            self.left -= 1
            return 0 if self.left >= 0 else signal.SIGTERM

    return lambda pieces: monkeypatch.setattr(loop, "StopRequest", lambda: Stop(pieces - 1))  # set up after the first


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoints" / name)["model"]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 8])
def test_best_distance_is_never_worse_than_the_final_one(epochs: int, tmp_path: Path) -> None:
    summary = train(tmp_path, SMALL, f"trainer.epochs={epochs}", "trainer.checkpoint_every=500")
    assert summary["best"]["distance"] <= summary["final"]["distance"]
    last_is_best = summary["best"]["distance"] == summary["final"]["distance"]
    assert (summary["best"]["epoch"] == epochs) == last_is_best
    assert same(weights(tmp_path, "best.pt"), weights(tmp_path, "last.pt")) == last_is_best


def test_best_checkpoint_of_a_pattern_run_holds_the_weights_that_summary_reports(tmp_path: Path) -> None:
    summary = train(tmp_path, SMALL)
    run = make_pattern(tmp_path)
    scored = scores(run, load_checkpoint(tmp_path / "checkpoints" / "best.pt"))
    assert {key: scored["best"][key] for key in summary["best"]} == summary["best"]
    assert scored["final"] == summary["final"]


def make_pattern(folder: Path) -> Any:
    run = make_run(folder)
    restore(run, folder)
    return run


def test_stopped_pattern_run_lets_the_last_weights_compete(stop_after: Callable[[int], None], tmp_path: Path) -> None:
    stop_after(3)
    summary = train(tmp_path, SMALL)
    assert (summary["status"], summary["epochs"]) == ("stopped", 3)
    assert summary["best"]["distance"] <= summary["final"]["distance"]
    assert load_checkpoint(tmp_path / "checkpoints" / "best.pt")["epoch"] == summary["best"]["epoch"]


def test_checkpoints_on_the_way_let_the_last_weights_compete(tmp_path: Path) -> None:
    """So that evaluating a run that was killed never shows a best distance above that of its last checkpoint."""
    run = make_run(tmp_path)
    for _ in range(3):
        run.advance(QUIET)
    before = run.state.best
    loop.save(run)
    assert run.state.best is before
    scored = scores(run, load_checkpoint(tmp_path / "checkpoints" / "best.pt"))
    assert scored["best"]["distance"] <= scored["final"]["distance"]
    assert scored["best"]["epoch"] == 3 or scored["best"]["distance"] < scored["final"]["distance"]


def test_pattern_run_that_goes_on_equals_a_longer_one_in_its_best_weights_too(tmp_path: Path) -> None:
    train(tmp_path / "long", SMALL, "trainer.epochs=9")
    train(tmp_path / "short", SMALL, "trainer.epochs=4")
    train(tmp_path / "short", SMALL, "trainer.epochs=9", f"resume={tmp_path / 'short'}")
    for name in ("best.pt", "last.pt"):
        assert same(*(weights(tmp_path / run, name) for run in ("long", "short")))
    long, short = (load_checkpoint(tmp_path / run / "checkpoints" / "last.pt")["best"] for run in ("long", "short"))
    assert (long["epoch"], long["score"]) == (short["epoch"], short["score"])
    assert same(long["weights"], short["weights"])


LOCAL = ["trainer.validate_every=2", "trainer.epochs=3"]


def test_last_weights_of_local_learning_compete_even_where_no_validation_is_due(data: Path, tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), *LOCAL]
    summary = train(tmp_path, words)
    final, best = summary["final"], summary["best"]
    assert best["validation_accuracy"] >= final["validation_accuracy"]
    run = make_local_run(tmp_path, data, *LOCAL)
    restore(run, tmp_path)
    assert run.state.best is not None
    assert run.state.best.epoch == 2  # what ended here does not enter a run that goes on
    scored = scores(run, load_checkpoint(tmp_path / "checkpoints" / "best.pt"))
    assert scored == {"final": final, "best": best}
    assert (best["epoch"] == 3) == (final["validation_accuracy"] > run.state.best.score)


def test_local_run_that_goes_on_equals_a_longer_one_in_everything(data: Path, tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), "trainer.validate_every=2"]
    train(tmp_path / "long", words, "trainer.epochs=5")
    train(tmp_path / "short", words, "trainer.epochs=3")
    train(tmp_path / "short", words, "trainer.epochs=5", f"resume={tmp_path / 'short'}")
    long, short = (load_checkpoint(tmp_path / run / "checkpoints" / "last.pt") for run in ("long", "short"))
    assert same(long["model"], short["model"])
    assert (long["best"]["epoch"], long["streams"]) == (short["best"]["epoch"], short["streams"])
    assert same(long["best"]["weights"], short["best"]["weights"])
    metrics = [(tmp_path / run / "metrics.jsonl").read_bytes() for run in ("long", "short")]
    assert metrics[0] == metrics[1]


def test_stopped_local_run_validates_its_last_weights(
    data: Path, stop_after: Callable[[int], None], tmp_path: Path
) -> None:
    stop_after(5)  # in the middle of epoch 3, of 2 batches each
    summary = train(tmp_path, [*SMALL_LOCAL, *data_folder(data, "nmnist"), "trainer.validate_every=1"])
    assert summary["status"] == "stopped"
    assert set(summary["final"]) == {"validation_accuracy"}
    assert summary["best"]["validation_accuracy"] >= summary["final"]["validation_accuracy"]
    run = make_local_run(tmp_path, data)
    restore(run, tmp_path)
    scored = scores(run, load_checkpoint(tmp_path / "checkpoints" / "best.pt"))
    for name in ("final", "best"):
        assert {key: scored[name][key] for key in summary[name]} == summary[name]


@pytest.fixture(scope="module")
def unvalidated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unvalidated")
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), "dataset.validation_share=0", "trainer.epochs=2"]
    start(compose_config([*words, "trainer.train_sample=7"]), folder, words)
    return folder


def test_run_without_a_validation_part_has_no_best_weights(unvalidated: Path, data: Path) -> None:
    summary = json.loads((unvalidated / "summary.json").read_text())
    assert "best" not in summary
    assert summary["recordings"]["validation"] == 0
    assert 0 <= summary["final"]["test_accuracy"] <= 1
    assert not (unvalidated / "checkpoints" / "best.pt").exists()
    assert (unvalidated / "confusion.png").exists()
    run = make_local_run(unvalidated, data, "dataset.validation_share=0", "trainer.train_sample=7")
    restore(run, unvalidated)
    assert scores(run, None) == {"final": summary["final"]}


def test_tensorboard_of_a_run_without_a_validation_part_has_no_best_score(unvalidated: Path) -> None:
    scalars = EventAccumulator(str(unvalidated)).Reload().Tags()["scalars"]
    assert "final/test_accuracy" in scalars
    assert [tag for tag in scalars if tag.startswith("best/")] == []


def test_table_of_a_run_without_a_validation_part_says_so(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    train(tmp_path, [*SMALL_LOCAL, *data_folder(data, "nmnist"), "dataset.validation_share=0", "trainer.epochs=1"])
    reason = r"none: there is no validation part to choose them by \(dataset.validation_share\)"
    assert re.search(rf"best weights +{reason}", caplog.text)
    assert "best.pt" not in caplog.text


def test_train_accuracy_is_of_the_frozen_net_on_the_same_recordings_at_each_validation(
    unvalidated: Path, data: Path
) -> None:
    run = make_local_run(unvalidated, data, "dataset.validation_share=0", "trainer.train_sample=7")
    restore(run, unvalidated)
    sample = run.task.train_sample()
    assert len(sample) == len(set(sample.tolist())) == 7
    assert set(sample.tolist()) <= set(run.task.split.train.tolist())
    assert np.array_equal(sample, run.task.train_sample())
    last = json.loads((unvalidated / "metrics.jsonl").read_text().splitlines()[-1])
    for name, value in run.task.evaluate(run, sample).accuracies().items():
        assert last[f"train_accuracy_{name}"] == value
        assert 0 <= last[f"online_accuracy_{name}"] <= 1


def test_train_sample_is_as_large_as_the_validation_part_and_alters_no_weight(data: Path, tmp_path: Path) -> None:
    words = [*SMALL_LOCAL, *data_folder(data, "nmnist"), "trainer.epochs=2"]
    assert len(make_local_run(tmp_path, data).task.train_sample()) == 10
    train(tmp_path / "with", words)
    train(tmp_path / "without", words, "trainer.train_sample=0")
    assert same(*(weights(tmp_path / run, "last.pt") for run in ("with", "without")))
    first = json.loads((tmp_path / "without" / "metrics.jsonl").read_text().splitlines()[0])
    assert "train_accuracy_layer1" not in first
    assert "validation_accuracy_layer1" in first


def test_clock_counts_compiling_apart_and_goes_on_after_a_resume() -> None:
    state = SimpleNamespace(seconds=100.0, seconds_start=30.0)
    clock = Clock(state)
    with compiling():
        time.sleep(0.2)
    time.sleep(0.05)
    assert clock.read(state) == pytest.approx(0.2, abs=0.1)
    assert state.seconds == pytest.approx(100.05, abs=0.1)
    assert state.seconds_start == pytest.approx(30.2, abs=0.1)
    began = state.seconds
    time.sleep(0.05)
    clock.read(state)
    assert 0.05 <= state.seconds - began < 0.15
