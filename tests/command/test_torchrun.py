"""torchrun of the command itself: one folder, one line for what is wrong, and a run that others go on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from scripts_module import load_script

from qsnn.command import run_command
from qsnn.config.command_line import read_command_line, set_up
from qsnn.config.composition import without_hydra
from qsnn.config.run import start
from qsnn.config.sharing.words import read_shared
from qsnn.errors import ConfigError

WORDS = [
    "experiment=randman", "dataset.num_classes=3", "dataset.samples_per_class=20", "dataset.num_units=9",
    "dataset.window_train=0.03", "dataset.window_test=0.03", "dataset.num_steps=15", "model.hidden=[6]",
    "trainer.epochs=25", "logging.progress=false", "logging.to=[]",
]  # fmt: skip
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "qsnn.train"]


def run_alone(folder: Path, words: list[str]) -> None:
    """In this process, as the command does."""
    set_up()
    _, cfg, _ = read_command_line([*words])
    assert cfg is not None
    start(without_hydra(cfg), folder, list(cfg.hydra.overrides.task))


def test_run_stopped_in_two_processes_goes_on_in_one(tmp_path: Path) -> None:
    shared, alone, cache = tmp_path / "shared", tmp_path / "alone", f"dataset.cache={tmp_path / 'cache'}"
    last = shared / "checkpoints" / "last.pt"
    command = [*TORCHRUN, *WORDS, cache, "trainer.batch_size=4", f"hydra.run.dir={shared}"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        metrics = shared / "metrics.jsonl"
        while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") > 1):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[0]
    assert last.exists(), told
    assert not (shared / ".lock").exists()
    run_alone(shared, [f"resume={shared}"])
    run_alone(alone, [*WORDS, cache, "trainer.batch_size=8"])
    ours, theirs = (torch.load(folder / "checkpoints" / "last.pt", weights_only=True) for folder in (shared, alone))
    assert ours["epoch"] == 25
    found = load_script("kill_and_resume").differences(ours, theirs)
    assert found == []
    assert metrics.read_bytes() == (alone / "metrics.jsonl").read_bytes()


def test_batch_size_is_of_a_process_where_it_is_typed_and_of_all_where_a_folder_says_it(tmp_path: Path) -> None:
    set_up()
    words, cfg, _ = read_shared([*WORDS, "trainer.batch_size=4"], 3)
    assert cfg is not None
    assert (cfg.trainer.batch_size, words[-1]) == (12, "trainer.batch_size=12")
    assert read_shared(WORDS, 2).cfg.trainer.batch_size == 2 * read_command_line(WORDS).cfg.trainer.batch_size  # type: ignore[union-attr]
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text(
        "".join(f"- {word}\n" for word in [*WORDS, "trainer.batch_size=12"])
    )
    assert read_shared([f"resume={tmp_path}"], 4).cfg.trainer.batch_size == 12  # type: ignore[union-attr]
    assert read_shared([f"resume={tmp_path}", "trainer.batch_size=3"], 4).cfg.trainer.batch_size == 12  # type: ignore[union-attr]


def test_several_runs_are_not_shared() -> None:
    set_up()
    with pytest.raises(ConfigError, match="leave out -m"):
        read_shared(["-m", "seed=0,1"], 2)


@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_process_does_alone_is_refused_in_one_line(
    rank: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": 1}.items():
        monkeypatch.setitem(os.environ, name, str(value))
    with pytest.raises(SystemExit) as end:
        run_command(lambda words: None)
    told = "error: this is no work for several processes: start it without torchrun\n"
    assert (end.value.code, capsys.readouterr().err) == (2, told if rank == 0 else "")
