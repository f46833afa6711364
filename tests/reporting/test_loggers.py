"""Where figures go beside metrics.jsonl: metrics.csv, and what all loggers have in common. wandb and MLflow themselves are
tried by scripts/try_loggers.py, in an environment that has them."""

import csv
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import SMALL
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from qsnn.config.command_line import compose_config, parse_overrides
from qsnn.config.run import start, sweep_of
from qsnn.config.saved_overrides import inherited_overrides
from qsnn.errors import ConfigError, NonFiniteError, RunFolderError
from qsnn.quantization import Format
from qsnn.reporting.identity import RunIdentity
from qsnn.reporting.loggers import opening
from qsnn.reporting.loggers.csv_file import CsvLog, kept_rows
from qsnn.reporting.loggers.opening import open_loggers
from qsnn.reporting.loggers.place import read_id, write_id
from qsnn.reporting.loggers.remote import Remote
from qsnn.reporting.pictures import Picture

QUICK = [*SMALL, "kernels=eager", "logging.metrics_every=2", "logging.health_every=4", "logging.raster_every=0"]


def identity(folder: Path, epoch: int = 0) -> RunIdentity:
    return RunIdentity(folder, epoch, epoch, 100, "epoch", "seed: 0\n", {"seed": 0})


class Memory:
    """A logger that keeps what it is told, and whose disk fails at ``bad``."""

    shows_pictures = shows_histograms = True

    def __init__(self, bad: int = -1) -> None:
        self.told: list[Any] = []
        self.bad = bad

    def _keep(self, *what: Any) -> None:
        if len(self.told) == self.bad:
            self.bad = -2
            raise OSError(28, "No space left on device")
        self.told.append(what)

    def scalars(self, values: dict[str, float], epoch: int) -> None:
        self._keep("scalars", epoch, *values)

    def picture(self, tag: str, picture: Picture, epoch: int) -> None:
        self._keep("picture", epoch, tag)

    def histogram(self, tag: str, values: Tensor, fmt: Format | None, epoch: int) -> None:
        self._keep("histogram", epoch, tag)

    def scores(self, values: dict[str, float], epoch: int) -> None:
        self._keep("scores", epoch, *values)

    def flush(self) -> None:
        self._keep("flush")

    def close(self, end: str) -> None:
        self._keep("close", end)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 40), st.integers(2, 5))
def test_csv_of_a_killed_and_resumed_run_is_that_of_one_never_stopped(
    tmp_path_factory: pytest.TempPathFactory, killed: int, checkpoint: int, torn: int, every: int
) -> None:
    def log_epochs(folder: Path, first: int, last: int) -> None:
        logger = CsvLog(identity(folder, first - 1))
        for epoch in range(first, last + 1):
            health = {f"health/{epoch // every}": 0.5} if epoch % every == 0 else {}
            logger.scalars({"loss/distance": 1 / epoch, **health}, epoch)

    whole, parts = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("parts")
    log_epochs(whole, 1, 7)
    log_epochs(parts, 1, killed)
    path = parts / "metrics.csv"
    with path.open("a") as file:
        file.write(f"{killed + 1},0.123456789012345678901234567890123456789"[:torn])
    log_epochs(parts, min(checkpoint, killed) + 1, 7)
    assert list(kept_rows(path, 99)) == list(kept_rows(whole / "metrics.csv", 99))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 8))
    assert all(float(row["loss/distance"]) == 1 / int(row["epoch"]) for row in rows)


def test_csv_of_a_run_has_the_figures_of_metrics_jsonl(tmp_path: Path) -> None:
    start(compose_config([*QUICK, "logging.to=[csv]"]), tmp_path, [])
    rows = list(kept_rows(tmp_path / "metrics.csv", 99))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [int(row["epoch"]) for row in rows] == [line["epoch"] for line in lines]
    assert [float(row["loss/distance"]) for row in rows] == [line["distance"] for line in lines]
    assert float(rows[-1]["rate/hidden"]) == lines[-1]["rate_hidden"]
    assert [len(row) for row in rows] == [len(line) for line in lines]
    assert list(tmp_path.glob("events*")) == []


def test_csv_with_foreign_lines_keeps_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"epoch,loss\n1,0.5\nx,1\n-3,2\n2,0.25,7\n3,0.1\n\xff\xfe,\x00\n4,")
    assert list(kept_rows(path, 99)) == [{"epoch": "1", "loss": "0.5"}, {"epoch": "3", "loss": "0.1"}]


@pytest.mark.parametrize(
    ("made", "told"),
    [("folder", "metrics.csv is a folder"), ("garbage", "metrics.csv does not begin with a column epoch")],
)
def test_csv_is_not_written_over_something_else(made: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.mkdir() if made == "folder" else path.write_text("a,b\n1,2\n")
    with pytest.raises(RunFolderError, match=f"{told}.*: move it away, or leave csv out of logging.to"):
        start(compose_config([*QUICK, "logging.to=[csv]"]), tmp_path, [])
    assert list(tmp_path.iterdir()) == [path]
    if made == "garbage":
        assert path.read_text() == "a,b\n1,2\n"


def test_csv_that_became_something_else_is_not_replaced_at_resume(tmp_path: Path) -> None:
    words = [*QUICK, "trainer.epochs=2", "logging.to=[csv]"]
    start(compose_config(words), tmp_path, words)
    (tmp_path / "metrics.csv").write_bytes(b"\xff\x00garbage")
    with pytest.raises(RunFolderError, match=r"metrics\.csv does not begin with a column epoch"):
        start(compose_config([*words, "trainer.epochs=4", f"resume={tmp_path}"]), tmp_path, words)
    assert (tmp_path / "metrics.csv").read_bytes() == b"\xff\x00garbage"


def test_logger_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name each logger once"):
        start(compose_config([*QUICK, "logging.to=[csv,csv]"]), tmp_path / "run", [])
    assert not (tmp_path / "run").exists()


def told_by(logger: Memory, monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> None:
    monkeypatch.setitem(opening.OPENERS, "csv", lambda run: logger)
    start(compose_config([*QUICK, "logging.to=[csv]", *words]), folder, [])


def test_logger_of_a_run_is_told_everything_in_order_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = Memory()
    told_by(logger, monkeypatch, tmp_path, "logging.raster_every=6", "logging.histogram_every=6")
    kinds = [what[0] for what in logger.told]
    assert [what[1] for what in logger.told if what[0] == "scalars"] == [1, 2, 4, 6]
    assert {"picture", "histogram", "flush"} < set(kinds)
    assert kinds.count("scores") == 1
    assert logger.told[-1] == ("close", "finished")


def test_logger_of_a_run_that_fails_is_closed_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = Memory()
    words = ["quantization=full_precision", "optimizer.lr_full_precision=1e38"]
    with pytest.raises(NonFiniteError):
        told_by(logger, monkeypatch, tmp_path, *words)
    assert logger.told[-1] == ("close", "failed")


def test_remote_logger_that_fails_is_warned_of_once_and_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    inner = Memory(bad=1)
    logger = Remote("mlflow", inner, (OSError,))
    with caplog.at_level(logging.WARNING):
        for epoch in range(1, 6):
            logger.scalars({"loss/distance": 1.0}, epoch)
        logger.flush()
        logger.close("finished")
    assert inner.told == [("scalars", 1, "loss/distance")]
    assert [record.getMessage() for record in caplog.records] == [
        "logging.to: mlflow failed, and the run goes on without it: [Errno 28] No space left on device"
    ]


def test_logger_that_cannot_begin_closes_those_that_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Memory()
    monkeypatch.setitem(opening.OPENERS, "csv", lambda run: first)
    monkeypatch.setitem(sys.modules, "wandb", None)
    sys.modules.pop("qsnn.reporting.loggers.wandb_run", None)
    with pytest.raises(ConfigError, match=r"logging.to: wandb cannot be imported: .*; pip install qsnn\[wandb\]"):
        open_loggers(["csv", "wandb"], identity(tmp_path))
    assert first.told == [("close", "failed")]


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_logger_that_is_not_installed_is_told_before_anything_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"{name} is not installed: pip install qsnn\[{name}\], or leave it out"):
        start(compose_config([*QUICK, f"logging.to=[csv,{name}]"]), tmp_path / "run", [])
    assert not (tmp_path / "run").exists()


def test_logger_of_another_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"logging.to\[0\]=aim is not possible: allowed are tensorboard, csv, wandb, mlflow"
    ):
        start(compose_config([*QUICK, "logging.to=[aim]"]), tmp_path / "run", [])


def test_old_name_of_the_tensorboard_key_is_told_and_taken_from_a_run_of_then(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"logging.tensorboard is now logging.to, a list"):
        parse_overrides(["logging.tensorboard=false"])
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=3\n- logging.tensorboard=false\n")
    assert inherited_overrides(tmp_path, []) == ["seed=3", "logging.to=[]"]


def test_identity_elsewhere_is_kept_in_the_folder_and_junk_is_none(tmp_path: Path) -> None:
    write_id(tmp_path, "wandb", "abc123")
    write_id(tmp_path, "mlflow", "def-4")
    assert [read_id(tmp_path, name) for name in ("wandb", "mlflow", "aim")] == ["abc123", "def-4", None]
    for junk in ("", "[1]", '{"wandb": 3}', '{"wandb": "../x"}', "[" * 100_000):
        (tmp_path / "loggers.json").write_text(junk)
        assert read_id(tmp_path, "wandb") is None


def test_sweep_of_a_folder_is_the_experiment_and_name_that_it_lies_in(tmp_path: Path) -> None:
    job = tmp_path / "multirun" / "quick" / "widths" / "seed=0"
    job.mkdir(parents=True)
    assert sweep_of(job) is None
    (job.parent / "multirun.yaml").touch()
    assert sweep_of(job) == "quick/widths"
