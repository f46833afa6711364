"""A run's folder belongs to one process: a second start, or resuming a run that is still running, says who has it."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from forking import Forked
from helpers import SMALL

from qsnn.config.command_line import compose_config, read_command_line
from qsnn.config.run import start
from qsnn.config.scoring import score_run
from qsnn.config.training import train
from qsnn.errors import ConfigError, RunFolderError
from qsnn.training.folders.lock import LOCK, locked

HOLDER = """
import sys, time
from pathlib import Path
from qsnn.training.folders.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def finished_run(folder: Path, *words: str) -> Path:
    """A run as the command leaves it."""
    start(compose_config([*SMALL, *words]), folder, [])
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps([*SMALL, *words]))
    return folder


def test_lock_names_its_holder_and_ends_when_that_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    holder = Forked([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(RunFolderError, match=f"is in use by process {holder.pid} on {socket.gethostname()}"),
        locked(folder),
    ):
        pytest.fail("two processes hold it")
    holder.kill()
    holder.communicate()
    assert (folder / LOCK).exists()
    with locked(folder):
        assert (folder / LOCK).read_text() == f"{os.getpid()} {socket.gethostname()}\n"
    assert not (folder / LOCK).exists()


def test_lock_leaves_no_folder_that_it_made_in_vain(tmp_path: Path) -> None:
    with locked(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()


def test_lock_on_a_file_system_without_locks_warns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locked(tmp_path / "run"):
        assert "its file system has no locks" in caplog.text


def test_run_that_is_running_refuses_a_second_start_and_resume_but_can_be_evaluated(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    unfinished = folder / "checkpoints" / ".last.pt.1.tmp"
    unfinished.write_bytes(b"being written")
    with locked(folder):
        for words in (
            [*SMALL, f"hydra.run.dir={folder}", "seed=3"],
            [*SMALL, f"hydra.run.dir={folder}", "resume=auto"],
            [f"resume={folder}"],
        ):
            with pytest.raises(RunFolderError, match=f"is in use by process {os.getpid()} on "):
                train(words)
        assert json.loads(score_run([f"run={folder}"]))["epochs"] == 6
    assert unfinished.exists()  # the running process is about to rename it
    assert json.loads((folder / ".hydra" / "overrides.yaml").read_text()) == SMALL


def test_second_start_in_a_folder_that_holds_a_run_leaves_it_as_it_was(tmp_path: Path) -> None:
    folder = finished_run(tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(RunFolderError, match="already holds a run"):
        train([*SMALL, f"hydra.run.dir={folder}", "seed=3"])
    with pytest.raises(RunFolderError, match="another config: seed was 0, is 3"):
        train([*SMALL, f"hydra.run.dir={folder}", "seed=3", "resume=auto"])
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_auto_starts_where_a_killed_process_left_no_checkpoint_and_goes_on_where_it_did(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    words, folder = [*SMALL, "resume=auto"], tmp_path / "run"
    (folder / ".hydra").mkdir(parents=True)
    for name in (".hydra/overrides.yaml", "train.log", LOCK):
        (folder / name).write_text("")
    assert start(compose_config(words), folder, words).status == "finished"
    assert "run holds no checkpoint to go on from; starting a new run there" in caplog.text
    (folder / "checkpoints" / ".last.pt.1.tmp").write_bytes(b"half-written")
    assert start(compose_config([*words, "trainer.epochs=9"]), folder, words).status == "finished"
    assert "run after epoch 6" in caplog.text
    assert json.loads((folder / "summary.json").read_text())["epochs"] == 9
    assert list(folder.rglob("*.tmp")) == []


@pytest.mark.parametrize(("words", "key"), [([], "hydra.run.dir"), (["-m", "seed=0,1"], "hydra.sweep.dir")])
def test_auto_needs_a_folder_that_is_the_same_at_every_start(words: list[str], key: str) -> None:
    with pytest.raises(ConfigError, match=f"resume=auto needs {key}=<folder>"):
        read_command_line(["resume=auto", *words])
